using System.Text.Json.Serialization;
using System.Numerics;

namespace NotebookKit.Optimizers;

/// <summary>An update rule with its constants, and what all rules share. Settings print themselves; vary them with <c>with</c>.</summary>
[JsonDerivedType(typeof(AdamWSettings), "AdamW")]
[JsonDerivedType(typeof(AdafactorSettings), "Adafactor")]
[JsonDerivedType(typeof(TorchAdafactorSettings), "TorchAdafactor")]
[JsonDerivedType(typeof(NAdamSettings), "NAdam")]
[JsonDerivedType(typeof(RAdamSettings), "RAdam")]
[JsonDerivedType(typeof(AdamaxSettings), "Adamax")]
[JsonDerivedType(typeof(RmsPropSettings), "RmsProp")]
[JsonDerivedType(typeof(AdagradSettings), "Adagrad")]
[JsonDerivedType(typeof(AdadeltaSettings), "Adadelta")]
[JsonDerivedType(typeof(LionSettings), "Lion")]
[JsonDerivedType(typeof(MuonSettings), "Muon")]
[JsonDerivedType(typeof(SgdSettings), "Sgd")]
public abstract record OptimizerSettings
{
    /// <summary>Weight decay; what it means stands with each rule. Default 0.</summary>
    public double WeightDecay { get; init; }

    /// <summary>Whether biases and norms (one-dimensional parameters) decay, too. Default <c>false</c>, as transformers and BERT have it.</summary>
    public bool DecaysVectors { get; init; }

    /// <summary>Gradients are scaled so that their norm over all parameters is at most this (Pascanu et al. 2013, https://arxiv.org/abs/1211.5063); 0 switches it off. Default 1.</summary>
    public double ClipNorm { get; init; } = 1;

    /// <summary>p of that norm; infinity is the largest entry. Default 2.</summary>
    public double ClipNormType { get; init; } = 2;

    /// <summary>Whether the loss is driven up. Default <c>false</c>.</summary>
    public bool Maximizes { get; init; }

    /// <summary>What the rule keeps for a parameter of a shape: names, and lengths where they are not the parameter's own.</summary>
    internal abstract IReadOnlyList<StateArray> StateOf(long[] shape);

    /// <summary>Whether the rule must see a parameter whole, in its shape.</summary>
    internal virtual bool NeedsWhole => false;

    /// <summary>What is the same for all parameters in a step, counted from 1.</summary>
    internal virtual double[] Constants(int step) => [];

    /// <summary>Changes weights and state. Unless <see cref="NeedsWhole"/>, a block has a multiple of 16 entries.</summary>
    internal abstract void Update<T>(in Block<T> block, double rate, int step, double[] constants) where T : unmanaged, IBinaryFloatingPointIeee754<T>;
}

/// <summary>An array that a rule keeps for a parameter.</summary>
/// <param name="Name">Its name in checkpoints.</param>
/// <param name="Length">Entries; <c>null</c> as many as the parameter has.</param>
/// <param name="Start">What it is filled with.</param>
internal readonly record struct StateArray(string Name, long? Length = null, double Start = 0);

/// <summary>A part of a parameter on its way through a rule.</summary>
internal readonly unsafe struct Block<T>(T* weights, T* gradients, nint[] states, long at, int count, bool decays, long[] shape) where T : unmanaged
{
    /// <summary>The weights, changed in place.</summary>
    public T* Weights => weights;

    /// <summary>Gradients, clipped; the rule may write over them.</summary>
    public T* Gradients => gradients;

    /// <summary>Entries.</summary>
    public int Count => count;

    /// <summary>Whether weight decay applies.</summary>
    public bool Decays => decays;

    /// <summary>The parameter's shape.</summary>
    public long[] Shape => shape;

    /// <summary>A state array, from this block on.</summary>
    public T* State(int index) => (T*)states[index] + at;
}

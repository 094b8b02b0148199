using NotebookKit.Models.Layers;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace NotebookKit.Models.Adapting;

/// <summary>What an adapter does to a layer.</summary>
internal interface ILayerAdapter
{
    /// <summary>What comes out in place of the layer's own answer, (…, to), for its input: (…, from), or ids (…) for a table.</summary>
    Tensor Apply(Tensor x, Func<Tensor, Tensor> layer);
}

/// <summary>How an adaptable layer's weight lies.</summary>
internal enum LayerKind
{
    /// <summary>(to, from).</summary>
    Linear,
    /// <summary>(from, to), as GPT-2's.</summary>
    Transposed,
    /// <summary>(rows, to), looked up by id.</summary>
    Table,
}

/// <summary>A layer that may carry an adapter.</summary>
internal interface IAdaptable
{
    /// <summary>The adapter, or <c>null</c>. Not a part of the layer: it is neither saved nor disposed with it.</summary>
    ILayerAdapter? Adapter { get; set; }

    /// <summary>How the weight lies.</summary>
    LayerKind Kind { get; }

    /// <summary>W.</summary>
    Parameter Weight { get; }

    /// <summary>b, (to), or <c>null</c>.</summary>
    Parameter? Bias { get; }

    /// <summary>W in int8, or <c>null</c> where it is as the parameter has it.</summary>
    Int8Weights? Int8 { get; }

    /// <summary>Holds W in int8 from now on; the parameter is a shape without numbers then.</summary>
    void HoldInInt8();

    /// <summary>W as numbers, in fp32, as it lies.</summary>
    Tensor Numbers() => Int8?.Dense(ScalarType.Float32) ?? Weight.to(ScalarType.Float32);

    /// <summary>Numbers in (rows of a table) and out.</summary>
    (long From, long To) Widths => Kind == LayerKind.Linear ? (Weight.size(1), Weight.size(0)) : (Weight.size(0), Weight.size(1));
}

/// <summary>What an adapter brings to a whole model.</summary>
internal interface IModelAdapter : IDisposable
{
    /// <summary>Takes no part any more.</summary>
    void Deactivate();

    /// <summary>Its parameters, under names of its own.</summary>
    IReadOnlyList<(string Name, Parameter Parameter)> Added { get; }

    /// <summary>Factor on the learning rate of a parameter of its own.</summary>
    double RateOf(string name);

    /// <summary>Tokens it puts in front of every sequence: places with the ids -1, -2, …</summary>
    int PromptTokens { get; }

    /// <summary>Keys that every token sees beside its own sequence's, in every layer; of an encoder-decoder, every token of the target.</summary>
    int PrefixTokens { get; }

    /// <summary>These keys and their values, layer by layer, (G, n, d) each; <c>null</c> where there are none. New views at every call.</summary>
    IReadOnlyList<(Tensor Keys, Tensor Values)>? Prefix();
}

namespace NotebookKit.Models;

/// <summary>What stands on top of a network's hidden states.</summary>
public enum ModelHead
{
    /// <summary>Nothing: hidden states come out, as sentence encoders use them.</summary>
    None,
    /// <summary>One vector of logits per sequence.</summary>
    SequenceClassification,
    /// <summary>One vector of logits per token.</summary>
    TokenClassification,
    /// <summary>Logits over the vocabulary at every place, for masked tokens.</summary>
    MaskedLM,
    /// <summary>Logits over the vocabulary for the next token.</summary>
    CausalLM,
    /// <summary>Logits over the vocabulary for the next token of an answer to another sequence.</summary>
    SequenceToSequenceLM,
}

/// <summary>A head and its size.</summary>
/// <param name="Head">Which.</param>
/// <param name="Labels">Number of classes, for the classification heads. Default 0.</param>
/// <param name="Pooling">What a sequence-classification head reads. Default: what the reference implementation's does.</param>
public sealed record HeadSettings(ModelHead Head, int Labels = 0, Pooling Pooling = Pooling.Pooler)
{
    /// <summary>Whether classes come out.</summary>
    public bool Classifies => Head is ModelHead.SequenceClassification or ModelHead.TokenClassification;
}

/// <summary>How a sequence of hidden states becomes one vector.</summary>
public enum Pooling
{
    /// <summary>The architecture's own way: BERT's first token through a linear layer and tanh, and what other architectures have in its place.</summary>
    Pooler,
    /// <summary>The mean over the tokens that are not padding, as sentence encoders do.</summary>
    Mean,
}

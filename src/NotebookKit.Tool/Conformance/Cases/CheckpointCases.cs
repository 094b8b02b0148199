using NotebookKit.Models;

namespace NotebookKit.Tool.Conformance.Cases;

/// <summary>All cases of a checkpoint folder, by the kind of its architecture.</summary>
internal static class CheckpointCases
{
    /// <param name="folder">The checkpoint.</param>
    /// <param name="golden">Its golden files, or those of the checkpoint it is a variant of.</param>
    /// <param name="head">Head that the golden files were made with.</param>
    public static IEnumerable<Outcome> Run(PretrainedModel folder, Golden golden, ModelHead head) => head switch
    {
        ModelHead.CausalLM => new DecoderCases(folder, golden).Run(),
        ModelHead.SequenceToSequenceLM => new EncoderDecoderCases(folder, golden).Run(),
        _ => new EncoderCases(folder, golden).Run(),
    };
}

using NotebookKit.Generation;
using NotebookKit.Models;
using static TorchSharp.torch;

namespace NotebookKit.Tool.Conformance.Cases;

/// <summary>Cases of encoder-decoders: hidden states, logits, loss, gradients, given decoder ids, generation.</summary>
internal sealed class EncoderDecoderCases(PretrainedModel folder, Golden golden)
{
    public IEnumerable<Outcome> Run()
    {
        using var model = (EncoderDecoderModel)folder.Load();
        foreach (var (name, settings) in golden.Cases.ToArray())
        {
            using var scope = NewDisposeScope();
            yield return name switch
            {
                "batch" or "decoder_ids" => Check.Run(name, () => Logits(model, name)),
                "grad" => Check.Run(name, () => Gradients(model)),
                _ => GenerationCases.Run(model, golden, name, settings, GenerationSettings.Of(folder)),
            };
        }
    }

    private EncoderInputs Source(string name) => new(golden.Read($"{name}/input_ids"), golden.ReadIf($"{name}/attention_mask"));

    private IEnumerable<Deviation> Logits(EncoderDecoderModel model, string name)
    {
        using var noGradient = no_grad();
        using var source = Source(name);
        if (golden.Has($"{name}/encoder_last_hidden_state"))
            yield return Compare.Close(golden.Read($"{name}/encoder_last_hidden_state"), model.Encode(source), Compare.Logits, golden.ReadIf($"{name}/attention_mask"));
        var labels = golden.ReadIf($"{name}/labels");
        var logits = model.forward(source, golden.ReadIf($"{name}/decoder_input_ids") ?? model.ShiftRight(labels!));
        yield return Compare.Close(golden.Read($"{name}/logits"), logits, Compare.Logits);
        if (golden.Has($"{name}/loss")) yield return Compare.Close(golden.Read($"{name}/loss"), ModelLoss.Of(model.Head, logits, labels!), Compare.Loss);
    }

    private IEnumerable<Deviation> Gradients(EncoderDecoderModel model)
    {
        using var source = Source("batch");
        var labels = golden.Read("batch/labels");
        foreach (var deviation in EncoderCases.Gradients(model, golden, () => ModelLoss.Of(model.Head, model.forward(source, model.ShiftRight(labels)), labels))) yield return deviation;
    }
}

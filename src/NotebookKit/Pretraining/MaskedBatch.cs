using NotebookKit.Data;
using NotebookKit.Models;
using NotebookKit.Models.Layers;
using NotebookKit.Text;
using TorchSharp;
using static TorchSharp.torch;
using F = TorchSharp.torch.nn.functional;

namespace NotebookKit.Pretraining;

/// <summary>A batch with tokens to predict (Devlin et al. 2019): of the chosen ones 80 % are masked, 10 % are another token, 10 % stay.</summary>
/// <param name="Batch">The ids as the model reads them.</param>
/// <param name="Places">Chosen places, indices into the B·T tokens.</param>
/// <param name="Targets">What stood there.</param>
internal sealed record MaskedBatch(Batch Batch, long[] Places, long[] Targets)
{
    /// <summary>Chooses at random; every row has at least one.</summary>
    /// <param name="rows">Ids between a start and an end id, which are never chosen.</param>
    /// <param name="tokenizer">The vocabulary.</param>
    /// <param name="share">Share of the tokens to choose.</param>
    /// <param name="random">What is drawn from.</param>
    /// <param name="firstOther">First of the ids that may stand in a token's place.</param>
    public static MaskedBatch Of(int[][] rows, Tokenizer tokenizer, double share, Random random, int firstOther = 0)
    {
        var batch = Batch.Pad(rows, tokenizer.PadId);
        var (places, targets) = (new List<long>(), new List<long>());
        for (var row = 0; row < rows.Length; row++)
        {
            var any = false;
            for (var t = 1; t < rows[row].Length - 1; t++)
            {
                var last = t == rows[row].Length - 2;
                if (random.NextDouble() >= share && !(last && !any)) continue;
                any = true;
                var place = row * batch.Length + t;
                places.Add(place);
                targets.Add(batch.Ids[place]);
                var draw = random.NextDouble();
                if (draw < 0.8) batch.Ids[place] = tokenizer.MaskId;
                else if (draw < 0.9) batch.Ids[place] = random.Next(firstOther, tokenizer.VocabularySize);
            }
        }
        return new MaskedBatch(batch, [.. places], [.. targets]);
    }

    /// <summary>Mean cross-entropy in fp32 at the chosen places; logits are computed nowhere else.</summary>
    public Tensor Loss(EncoderModel model)
    {
        using var inputs = new EncoderInputs(Batch, model.DataType);
        var hidden = model.Encode(inputs).view(-1, model.Width).index_select(0, tensor(Places));
        return F.cross_entropy(model.VocabularyLogits(hidden).to(ScalarType.Float32), tensor(Targets));
    }

    /// <summary>Mean loss over rows that are not learned from; the masks are the same each time.</summary>
    /// <param name="model">Is left in evaluation mode.</param>
    /// <param name="lengths">Tokens of each row.</param>
    /// <param name="tokens">Padded tokens of a batch.</param>
    /// <param name="masked">Chooses in rows, by their places.</param>
    public static double HeldOutLoss(EncoderModel model, int[] lengths, int tokens, Func<int[], Random, MaskedBatch> masked)
    {
        using var noGradient = no_grad();
        model.eval();
        var (sum, count, seed) = (0.0, 0L, 0);
        foreach (var window in BatchSampler.ByTokens(lengths, tokens))
        {
            using var scope = NewDisposeScope();
            var batch = masked(window, new Random(++seed));
            (sum, count) = (sum + batch.Loss(model).ToDouble() * batch.Targets.Length, count + batch.Targets.Length);
        }
        return sum / count;
    }
}

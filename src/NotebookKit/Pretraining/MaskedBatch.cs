using NotebookKit.Data;
using NotebookKit.Text;

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
}

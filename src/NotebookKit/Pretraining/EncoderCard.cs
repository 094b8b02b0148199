using System.Globalization;
using System.Text;
using NotebookKit.Models.Encoders;

namespace NotebookKit.Pretraining;

/// <summary>Writes the model card of an encoder from its recipe and what the run measured; nothing in it is typed by hand.</summary>
internal static class EncoderCard
{
    public static string Write(PretrainingRecipe recipe, BertConfig config, PretrainingResult result)
    {
        var card = new StringBuilder();
        void Line(FormattableString text) => card.Append(text.ToString(CultureInfo.InvariantCulture)).Append('\n');
        var masked = result.MaskedLM[^1];
        var distilled = result.Distillation[^1];

        Line($"---\nlanguage: en\nlicense: apache-2.0\nlibrary_name: notebookkit\npipeline_tag: sentence-similarity\nbase_model: none (trained from scratch)");
        Line($"teacher: {recipe.Teacher}\ntraining_data: English prose from Debian and npm packages, {result.CorpusCharacters.Values.Sum() / 1e6:F0} million characters\n---\n");
        Line($"# {recipe.Name}\n");
        Line($"A small English encoder made by this repository: BERT architecture, {config.Layers} layers × {config.HiddenSize}, {config.Heads} heads, a lower-casing WordPiece vocabulary of");
        Line($"{config.VocabularySize:N0}, {result.Parameters / 1e6:F1} million parameters, stored in bf16. Small enough to finetune in seconds on two CPU cores.");
        Line($"Everything here, this card included, is written by `nbkit pretrain data/models/{recipe.Name}/recipe.json`; curves and figures stand in full in training.json.\n");
        Line($"## Made in three stages\n");
        Line($"1. **Masked language modelling** from random weights: {masked.Step:N0} steps of {recipe.MaskedLM.TokensPerStep:N0} tokens, {masked.Tokens / 1e6:F0} million tokens seen");
        Line($"   ({(double)masked.Tokens / result.CorpusTokens:F1} passes). Held-out cross-entropy {masked.HeldOutLoss:F3}, perplexity {Math.Exp(masked.HeldOutLoss):F1} over masked tokens.");
        Line($"2. **Distillation** of the sentence embeddings of [{recipe.Teacher}](https://huggingface.co/{recipe.Teacher}) (Apache-2.0) on {recipe.Distillation.Texts:N0} sentences and splices of the same text:");
        Line($"   {distilled.Step:N0} steps, {distilled.Tokens / 1e6:F0} million tokens. The student's {config.HiddenSize} dimensions match the teacher's {config.HiddenSize} leading directions, which hold {result.TeacherKeptShare * 100:F1} % of its");
        Line($"   squared length. Held-out cosine to the teacher {1 - distilled.HeldOutLoss:F3}.");
        Line($"3. **Both at once**, so that one encoder fills masks and embeds sentences: {result.Joint[^1].Step:N0} steps, the distance to the teacher (2 − 2·cosine) weighted {recipe.JointSentenceWeight:F0} against the cross-entropy.");
        Line($"   Held-out perplexity {Math.Exp(result.Joint[^1].HeldOutLoss):F1}, held-out cosine to the teacher {1 - result.JointDistance:F3}.\n");
        Line($"| linear probe, 10 examples per class, validation part, mean of 5 draws | {string.Join(" | ", result.Probes.Values.First().Keys)} |");
        Line($"|---|{string.Concat(result.Probes.Values.First().Keys.Select(_ => "---|"))}");
        foreach (var (stage, probes) in result.Probes)
            Line($"| {stage}{(stage == result.KeptStage ? " (kept)" : "")} | {string.Join(" | ", probes.Values.Select(p => (p * 100).ToString("F1", CultureInfo.InvariantCulture) + " %"))} |");
        Line($"\n## Curves\n\n| stage | steps | tokens seen | train loss | held-out loss |\n|---|---|---|---|---|");
        foreach (var (stage, curve) in new[] { ("masked-lm", result.MaskedLM), ("distilled", result.Distillation), ("joint", result.Joint) })
            foreach (var p in curve.Where((_, i) => i % Math.Max(1, curve.Count / 6) == 0 || i == curve.Count - 1))
                Line($"| {stage} | {p.Step:N0} | {p.Tokens:N0} | {p.TrainLoss:F4} | {p.HeldOutLoss:F4} |");
        Line($"\nmasked-lm and joint losses are cross-entropies in nats, distilled losses 1 − cosine.\n\n## Training data\n\nThe text is not in the repository; the recipe's sources are fetched by the package managers that ship them.\n");
        Line($"| source | package | million characters | licence |\n|---|---|---|---|");
        foreach (var source in recipe.Corpus)
            Line($"| {source.Name} | {source.Package} | {result.CorpusCharacters.GetValueOrDefault(source.Name) / 1e6:F1} | {source.Licence} |");
        Line($"\n## What it is bad at\n");
        Line($"- Anything but English, and words that neither dictionaries nor software documentation use: it learnt from definitions, manuals, a political FAQ and mail, hardly from conversation.");
        Line($"- Knowledge of the world: {result.Parameters / 1e6:F1} million parameters hold little. Long texts: it saw at most {recipe.MaskedLM.MaximumLength} tokens.");
        Line($"- Sentence similarity where the teacher is weak too, and less than the teacher everywhere: a larger encoder is better whenever you can afford one.");
        Line($"- It repeats what its sources take for granted: old dictionaries and the teacher's web text carry their prejudices. Test it on your own users before it decides anything about them.");
        return card.ToString();
    }
}

using NotebookKit.Adapters;
using NotebookKit.Generation;
using NotebookKit.Models;
using TorchSharp;
using static TorchSharp.torch;

namespace NotebookKit.Tests.Adapters;

/// <summary>What must hold for every method on every architecture; that outputs equal the reference's is in the golden files that `nbkit conform` runs.</summary>
public sealed class AdapterTests
{
    private static readonly AdapterSettings[] Methods =
    [
        new LoraSettings { Rank = 3 }, new LoraSettings { Rank = 2, RankStabilised = true, Biases = TrainedBiases.Adapted }, new LoraSettings { Rank = 2, DecomposesWeights = true }, new Ia3Settings(), new BottleneckSettings { Width = 4 },
        new BitFitSettings(), new PromptSettings { Tokens = 3 }, new PrefixSettings { Tokens = 3 },
    ];

    public static TheoryData<string> Checkpoints => [.. Directory.GetDirectories(TestData.Fixture("checkpoints", "tiny")).Select(d => Path.GetFileName(d)!)];

    [Theory]
    [MemberData(nameof(Checkpoints))]
    public void Untrained_changes_nothing_trained_is_read_back_and_merged_and_leaves_the_base_alone(string name)
    {
        var (pretrained, done) = (PretrainedModel.Open(TestData.Fixture("checkpoints", "tiny", name)), 0);
        foreach (var settings in Methods.Where(m => Suits(m, pretrained)))
        {
            using var scope = NewDisposeScope();
            using var folder = TestData.NewFolder();
            using var model = pretrained.Load();
            var (alone, weights) = (Answer(model), Copies(model));
            using var adapter = Adapter.Add(model, settings, seed: 1);
            Assert.Equal(adapter.Trainable, model.parameters().Where(p => p.requires_grad).Sum(p => p.numel()));
            if (settings is not (PromptSettings or PrefixSettings)) Near(alone, Answer(model), 1e-5, settings);

            using (no_grad())
                foreach (var (_, parameter) in adapter.Parameters()) parameter.add_(rand_like(parameter) * 0.05);
            var trained = Answer(model);
            Assert.NotEqual(alone, trained);
            adapter.Save(folder.Path);
            using (var other = pretrained.Load())
            using (Adapter.Load(other, folder.Path)) Assert.Equal(trained, Answer(other));

            if (settings is PromptSettings or PrefixSettings or BottleneckSettings) Assert.Contains("cannot be merged", Assert.Throws<InvalidOperationException>(() => adapter.Merge()).Message);
            else
            {
                var certificate = adapter.Merge();
                Assert.InRange(certificate.LargestChange, 0, 1e-4 * Math.Max(1, certificate.LargestLogit));
                Near(trained, Answer(model), 1e-4, settings);
                adapter.Unmerge();
                Assert.Equal(trained, Answer(model));
            }
            adapter.Deactivate();
            Assert.Equal(alone, Answer(model));
            foreach (var (key, value) in Copies(model)) Assert.Equal(weights[key], value);
            done++;
        }
        Assert.InRange(done, 4, Methods.Length);
    }

    /// <summary>Expected: DoRA's definition by hand, of a table whose columns are what has a length, as in PEFT.</summary>
    [Fact]
    public void A_table_is_decomposed_column_by_column()
    {
        using var scope = NewDisposeScope();
        using var noGradient = no_grad();
        using var model = Open("bert-seqcls");
        using var adapter = Adapter.Add(model, new LoraSettings { Rank = 2, Alpha = 6, DecomposesWeights = true, Targets = ModulePattern.Named("word_embeddings") });
        var own = adapter.Parameters().Where(p => p.Name.Contains("lora", StringComparison.Ordinal)).ToDictionary(p => p.Name[(p.Name.LastIndexOf('.') + 1)..], p => p.Parameter);
        foreach (var parameter in own.Values) parameter.add_(rand_like(parameter));
        var table = model.OwnParameters().First(p => p.Name.EndsWith("word_embeddings.weight", StringComparison.Ordinal)).Parameter;
        var changed = table + 3 * own["lora_embedding_A"].t().matmul(own["lora_embedding_B"].t());                               // α / r = 3
        var expected = changed / changed.pow(2).sum([0L]).sqrt() * own["lora_magnitude_vector"];
        var with = Answer(model);
        adapter.Deactivate();
        table.copy_(expected);
        Near(Answer(model), with, 1e-4, adapter.Settings);
    }

    /// <summary>Expected: three adapters give three answers, each again whenever it takes part.</summary>
    [Fact]
    public void Several_adapters_on_one_model_are_switched()
    {
        using var model = Open("bert-seqcls");
        var alone = Answer(model);
        var adapters = Enumerable.Range(0, 3).Select(i =>
        {
            var adapter = Adapter.Add(model, new LoraSettings { Rank = 2, Targets = ModulePattern.Named("query", "value") }, seed: i);
            using var noGradient = no_grad();
            foreach (var (_, parameter) in adapter.Parameters()) parameter.add_(0.1 * (i + 1));
            return adapter;
        }).ToArray();
        var answers = adapters.Select(a => { a.Activate(); return Answer(model); }).ToArray();
        Assert.Equal(4, answers.Append(alone).Select(a => string.Join(' ', a)).Distinct().Count());
        foreach (var i in new[] { 1, 0, 2, 1 })
        {
            adapters[i].Activate();
            Assert.True(adapters[i].IsActive);
            Assert.Equal(1, adapters.Count(a => a.IsActive));
            Assert.Equal(answers[i], Answer(model));
        }
        foreach (var adapter in adapters) adapter.Dispose();
        Assert.Equal(alone, Answer(model));
        Assert.All(model.parameters(), p => Assert.True(p.requires_grad));
    }

    /// <summary>Expected: PEFT's rules as its documentation and code state them.</summary>
    [Theory]
    [InlineData("query", null, 2)]
    [InlineData("self.query", null, 2)]
    [InlineData("uery", null, 0)]
    [InlineData("query", 1, 1)]
    [InlineData(@".*\.layer\.0\..*", null, 6)]
    public void A_pattern_means_what_it_means_to_PEFT(string pattern, int? layer, int expected)
    {
        using var model = Open("bert-seqcls");
        var targets = pattern.Contains('*') ? ModulePattern.Regex(pattern) : ModulePattern.Named(pattern);
        if (layer is { } number) targets = targets with { Layers = [number] };
        if (expected == 0)
        {
            var error = Assert.Throws<ArgumentException>(() => Adapter.Add(model, new LoraSettings { Targets = targets }));
            Assert.Contains("LoraSettings.Targets matches no layer: uery", error.Message);
            Assert.Contains("self.query ×2", error.Message);
            Assert.Null(model.Adapter);
            return;
        }
        using var adapter = Adapter.Add(model, new LoraSettings { Targets = targets });
        Assert.Equal(expected, adapter.Matched.Count);
        Assert.Empty(adapter.Matched.Intersect(adapter.Unmatched));
    }

    [Fact]
    public void What_matched_and_what_did_not_is_said_with_the_trainable_share_in_one_line()
    {
        using var model = Open("bert-seqcls");
        using var adapter = Adapter.Add(model, new LoraSettings { Rank = 3, Targets = ModulePattern.Named("query", "q_proj") });
        // 2 layers × (3×32 + 32×3) + classifier 3×32 + 3, of the base and the matrices
        Assert.StartsWith("483 of ", adapter.ToString());
        var text = adapter.ToText();
        Assert.Contains("self.query ×2", text);
        Assert.Contains("self.key ×2", text);
        Assert.Contains("q_proj", text);
        Assert.Contains("classifier", text);
    }

    [Fact]
    public void What_cannot_be_is_refused_by_name_and_the_model_is_as_it_was()
    {
        using var bert = Open("bert-seqcls");
        using var llama = Open("llama-gqa");
        using var distil = Open("distilbert-mlm");
        using var bart = Open("bart");
        Refused<ArgumentException>(bert, new LoraSettings { Targets = ModulePattern.Named("LayerNorm") }, "'LayerNorm' is not a linear layer");
        Refused<ArgumentException>(bert, new Ia3Settings { Targets = ModulePattern.Named("query"), FeedForward = ModulePattern.Named("output.dense") }, "Ia3Settings.FeedForward");
        Refused<ArgumentException>(bert, new LoraSettings { ModulesToSave = ["scorer"] }, "ModulesToSave matches no module: scorer");
        Refused<ArgumentException>(llama, new BitFitSettings(), "would train nothing");
        Refused<ArgumentException>(distil, new PrefixSettings(), "PrefixSettings is for decoders, encoder-decoders and the BERT family");
        Refused<ArgumentException>(bart, new PrefixSettings(), "this model's decoder has (2, 2, 16)");
        Refused<ArgumentOutOfRangeException>(bert, new LoraSettings { Rank = 0 }, "Rank");
        Refused<ArgumentException>(bert, new PromptSettings { Targets = ModulePattern.Named("query") }, "has no Targets");
        Assert.Contains("is no regular expression", Assert.Throws<ArgumentException>(() => ModulePattern.Regex("(")).Message);
    }

    [Fact]
    public void An_adapter_of_another_base_is_refused()
    {
        using var folder = TestData.NewFolder();
        using (var model = Open("bert-seqcls"))
        using (var adapter = Adapter.Add(model, new LoraSettings { ModulesToSave = [] })) adapter.Save(folder.Path);
        using var other = Open("bert-seqcls");
        using (no_grad()) other.OwnParameters().First().Parameter.add_(1e-3);
        var error = Assert.Throws<InvalidDataException>(() => Adapter.Load(other, folder.Path));
        Assert.Contains("notebookkit_base_sha256", error.Message);
        Assert.Contains("trained on another base", error.Message);
        Assert.Null(other.Adapter);
        using var decoder = Open("gpt2");
        Assert.Contains("does not fit this model. LoraSettings.ModulesToSave matches no module: classifier, score", Assert.Throws<InvalidDataException>(() => Adapter.Load(decoder, TestData.Fixture("adapters", "dora-bert"))).Message);
    }

    [Fact]
    public void Malformed_folders_say_file_and_field()
    {
        using var folder = TestData.NewFolder();
        using var model = Open("bert-seqcls");
        var source = TestData.Fixture("adapters", "dora-bert");
        foreach (var file in Directory.GetFiles(source)) File.Copy(file, folder[Path.GetFileName(file)]);
        var config = File.ReadAllText(folder["adapter_config.json"]);
        void With(string from, string to, string expected)
        {
            Assert.Contains(from, config);
            File.WriteAllText(folder["adapter_config.json"], config.Replace(from, to, StringComparison.Ordinal));
            Assert.Contains(expected, Assert.Throws<InvalidDataException>(() => Adapter.Load(model, folder.Path)).Message);
            Assert.Null(model.Adapter);
        }
        With("\"LORA\"", "\"VERA\"", "peft_type 'VERA'");
        With("\"r\": 3", "\"r\": 4", "has the shape [3, 32], the adapter needs [4, 32]");
        With("\"use_qalora\": false", "\"use_qalora\": true", "use_qalora");
        With("\"bias\": \"none\"", "\"bias\": \"some\"", "bias = 'some'");
        With("\"use_dora\": true", "\"use_dora\": false", "belong to no layer of this model");
        File.WriteAllText(folder["adapter_config.json"], config);
        File.Delete(folder["adapter_model.safetensors"]);
        Assert.Throws<FileNotFoundException>(() => Adapter.Load(model, folder.Path));
    }

    [Fact]
    public void A_model_with_an_adapter_is_not_saved_as_if_it_had_none()
    {
        using var folder = TestData.NewFolder();
        using var model = Open("bert-seqcls");
        using var adapter = Adapter.Add(model, new LoraSettings());
        Assert.Contains("Merge the adapter", Assert.Throws<InvalidOperationException>(() => ModelFolder.Write(model, folder.Path)).Message);
        adapter.Merge();
        ModelFolder.Write(model, folder.Path);
        using var read = PretrainedModel.Open(folder.Path).Load();
        Assert.Equal(Answer(model), Answer(read));
    }

    /// <summary>Expected: the answer before merging; input table and output matrix are one tensor in this model.</summary>
    [Fact]
    public void A_table_that_is_the_output_matrix_too_is_separated_when_merged()
    {
        using var model = Open("gpt2");
        using var adapter = Adapter.Add(model, new LoraSettings { Rank = 2, Targets = ModulePattern.Named("wte", "c_attn") });
        using (no_grad())
            foreach (var (_, parameter) in adapter.Parameters()) parameter.add_(rand_like(parameter));
        var before = Answer(model);
        var certificate = adapter.Merge();
        Assert.True(certificate.Untied);
        Near(before, Answer(model), 1e-4, adapter.Settings);
        using var folder = TestData.NewFolder();
        ModelFolder.Write(model, folder.Path);
        using var read = PretrainedModel.Open(folder.Path).Load();
        Near(before, Answer(read), 1e-4, adapter.Settings);
    }

    private static bool Suits(AdapterSettings settings, PretrainedModel model) => settings switch
    {
        BitFitSettings => model.Config.ModelType is not ("llama" or "mistral" or "qwen3" or "smollm3" or "phi3" or "gemma3_text" or "modernbert" or "t5"),
        PromptSettings => model.Config.ModelType != "marian",
        PrefixSettings => model.Config.ModelType is "bert" or "roberta" or "xlm-roberta" or "electra" or "gpt2" or "llama" or "mistral" or "qwen2" or "qwen3" or "phi3" or "gpt_neox" or "smollm3" or "gemma3_text" or "t5",
        _ => true,
    };

    private static LanguageModel Open(string name) => PretrainedModel.Open(TestData.Fixture("checkpoints", "tiny", name)).Load();

    private static void Refused<T>(LanguageModel model, AdapterSettings settings, string expected) where T : Exception
    {
        Assert.Contains(expected, Assert.Throws<T>(() => Adapter.Add(model, settings)).Message);
        Assert.Null(model.Adapter);
        Assert.All(model.parameters(), p => Assert.True(p.requires_grad));
    }

    private static Dictionary<string, float[]> Copies(LanguageModel model) => model.OwnParameters().ToDictionary(p => p.Name, p => p.Parameter.detach().data<float>().ToArray());

    private static float[] Answer(LanguageModel model)
    {
        using var noGradient = no_grad();
        using var scope = NewDisposeScope();
        var ids = tensor(new long[] { 5, 17, 42, 9, 30, 8, 21, 33 }, [2, 4]);
        var logits = model switch
        {
            EncoderModel encoder => encoder.forward(new EncoderInputs(ids)),
            DecoderModel decoder => decoder.forward(new DecoderInputs(ids)),
            _ => ((EncoderDecoderModel)model).forward(new EncoderInputs(ids), ids),
        };
        if (logits.dim() == 3) logits = logits.narrow(1, logits.size(1) - 4, 4);            // the prompt's places aside
        return logits.contiguous().data<float>().ToArray();
    }

    private static void Near(float[] expected, float[] got, double allowed, AdapterSettings settings) =>
        Assert.True(expected.Zip(got).Max(p => Math.Abs(p.First - p.Second)) <= allowed * Math.Max(1, expected.Max(Math.Abs)), $"{settings}: {expected.Zip(got).Max(p => Math.Abs(p.First - p.Second))}");
}

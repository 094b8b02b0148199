using NotebookKit.ContinualLearning;
using NotebookKit.Data;
using NotebookKit.Models;
using NotebookKit.Optimizers;
using NotebookKit.Pipelines;
using NotebookKit.Tests.Training;
using NotebookKit.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace NotebookKit.Tests.ContinualLearning;

/// <summary>Expected values: the papers' terms, computed by autograd or by hand.</summary>
public sealed class RetentionTests
{
    private static readonly TextDataset Animals = FinetunerTests.Animals;

    /// <summary>Expected: the gradient that autograd finds for α/2 ‖w − w₀‖².</summary>
    [Fact]
    public void L2_sp_adds_the_gradient_of_its_term()
    {
        using var classifier = TextClassifier.FromScratch(FinetunerTests.Still, Animals.Labels, seed: 3);
        using var term = new L2Sp(0.3);
        term.Begin(classifier, Animals);
        var start = Copies(classifier);
        Disturb(classifier);
        term.AddGradients(classifier.Model);
        foreach (var (name, parameter) in classifier.Model.named_parameters())
        {
            using var scope = NewDisposeScope();
            var w = parameter.detach().clone().requires_grad_(true);
            if (name.StartsWith("bert.", StringComparison.Ordinal)) ((w - start[name]).pow(2).sum() * 0.15).backward();
            var expected = w.grad ?? zeros_like(w);
            Assert.True((expected - parameter.grad!).abs().max().ToDouble() < 1e-6, name);
        }
    }

    /// <summary>Expected: Σ over classes of p(c) (∂ log p(c) / ∂w)², by autograd for every class, over its mean; of two tasks held alike, the same.</summary>
    [Fact]
    public void Fisher_information_is_the_expectation_over_the_models_own_answers_divided_by_its_mean()
    {
        using var classifier = TextClassifier.FromScratch(FinetunerTests.Still, Animals.Labels, seed: 3);
        using (no_grad()) classifier.Model.Classifier.bias!.copy_(tensor(new[] { 1f, -0.5f }));
        using var ewc = new Ewc(strength: 1);
        // Each example drawn often enough that the mean over drawn classes is near the sum over classes.
        var many = Animals.With("many", Enumerable.Repeat(Animals, 200).SelectMany(e => e));
        ewc.Hold(classifier, many, examples: many.Count);
        ewc.Hold(classifier, many, examples: many.Count, seed: 1);
        using var scope = NewDisposeScope();
        var model = classifier.Model;
        var expected = model.named_parameters().ToDictionary(p => p.name, p => zeros_like(p.parameter).detach());
        foreach (var text in Animals.Texts)
            for (var c = 0; c < 2; c++)
            {
                foreach (var (_, parameter) in model.named_parameters()) parameter.grad = null;
                var logs = model.forward(new EncoderInputs(Batch.Pad([classifier.Tokenizer.EncodeAll([text], classifier.MaximumLength)[0]], classifier.Tokenizer.PadId))).log_softmax(1);
                logs[0, c].backward();
                var share = logs[0, c].exp().item<float>() / Animals.Count;
                foreach (var (name, parameter) in model.named_parameters())
                    if (parameter.grad is { } gradient) expected[name] += gradient.pow(2) * share;
            }
        var mean = expected.Values.Sum(e => e.sum().ToDouble()) / expected.Values.Sum(e => e.numel());
        using (no_grad())
            foreach (var (_, parameter) in model.named_parameters())
            {
                parameter.add_(1);                                                // w − w₀ = 1, so that the gradient is the information
                parameter.grad = zeros_like(parameter);
            }
        ewc.AddGradients(model);
        foreach (var (name, parameter) in model.named_parameters())
            Assert.Equal(expected[name].sum().ToDouble() / mean, parameter.grad!.sum().ToDouble(), 0.05 * expected[name].sum().ToDouble() / mean + 1);
        var bias = model.Classifier.bias!.grad!.data<float>().ToArray();
        Assert.Equal(expected["classifier.bias"][0].ToDouble() / mean, bias[0], 0.05 * bias[0]);
        Assert.Equal(bias[0], bias[1], 1e-3 * bias[0]);
    }

    [Fact]
    public void Ewc_holds_several_tasks_and_a_head_that_grew()
    {
        using var classifier = TextClassifier.FromScratch(FinetunerTests.Still, Animals.Labels, seed: 3);
        using var ewc = new Ewc(50);
        Assert.Contains("call Hold", Assert.Throws<InvalidOperationException>(() => ewc.Begin(classifier, Animals)).Message);
        ewc.Hold(classifier, Animals, 4);
        ewc.Hold(classifier, Animals, 4, seed: 1);
        using var wider = classifier.WithClasses(["fish"], seed: 1);
        Disturb(wider);
        ewc.AddGradients(wider.Model);
        var head = wider.Model.Classifier.weight.grad!;
        Assert.True(head.narrow(0, 0, 2).abs().max().ToDouble() > 0);
        Assert.Equal(0, head[2].abs().max().ToDouble());
    }

    /// <summary>Expected: T² · KL by hand; nothing where the answers are what they were.</summary>
    [Fact]
    public void Distillation_is_the_divergence_from_the_answers_before()
    {
        using var classifier = TextClassifier.FromScratch(FinetunerTests.Still, Animals.Labels, seed: 3);
        using var term = new Distillation(weight: 0.5, temperature: 2);
        term.Begin(classifier, Animals);
        var logits = classifier.Logits(Animals.Texts);
        using var same = tensor(logits[1].Concat(logits[3]).ToArray(), [2, 2]);
        Assert.Equal(0, term.OfLogits(same, [1, 3]).ToDouble(), 1e-6);
        using var other = tensor(new float[] { 1, 2, -1, 0.5f }, [2, 2]);
        double[] Soft(double[] l) { var e = l.Select(v => Math.Exp(v / 2)).ToArray(); return [.. e.Select(v => v / e.Sum())]; }
        double Kl(float[] before, double[] now) { var (p, q) = (Soft([.. before.Select(v => (double)v)]), Soft(now)); return p.Zip(q, (a, b) => a * Math.Log(a / b)).Sum(); }
        Assert.Equal(0.5 * 4 * (Kl(logits[1], [1, 2]) + Kl(logits[3], [-1, 0.5])), term.OfLogits(other, [1, 3]).ToDouble(), 1e-5);
    }

    /// <summary>A strong term holds the model where it was, a weak one does not; the reported loss is that of the data in both.</summary>
    [Theory]
    [InlineData("l2")]
    [InlineData("ewc")]
    [InlineData("distillation")]
    public void A_strong_term_keeps_answers_and_the_loss_is_the_datas_alone(string kind)
    {
        double Moved(double strength, out double loss)
        {
            using var classifier = TextClassifier.FromScratch(FinetunerTests.Still, Animals.Labels, seed: 3);
            using Retention term = kind switch { "l2" => new L2Sp(strength), "ewc" => Held(classifier, strength), _ => new Distillation(strength) };
            var before = classifier.Logits(Animals.Texts);
            var settings = new FinetuneSettings { HeadStart = HeadStart.Random, Epochs = 6, BatchSize = 4, LearningRate = 1e-2, MicroBatchSize = 3, Optimizer = new SgdSettings { Momentum = 0, WeightDecay = 0, ClipNorm = 1 } };
            // The opposite labels, so that learning and keeping pull apart.
            var turned = Animals.With("turned", Animals.Select(e => e with { Label = Animals.Labels.Names.First(n => n != e.Label) }));
            var history = new Finetuner(settings with { LearningRate = 0.1 }, term).Run(classifier, turned);
            loss = history.Epochs[0].TrainLoss;
            return classifier.Logits(Animals.Texts).Zip(before).Sum(p => p.First.Zip(p.Second).Sum(q => Math.Abs(q.First - q.Second)));
        }
        var (free, held) = (Moved(1e-9, out var freeLoss), Moved(kind == "ewc" ? 500 : 50, out var heldLoss));
        if (kind == "l2") Assert.True(held < 0.9 * free, $"{held} against {free}");        // the head is free under L2-SP
        else Assert.True(held < 0.5 * free, $"{held} against {free}");
        Assert.Equal(freeLoss, heldLoss, 0.15);
    }

    [Fact]
    public void What_does_not_go_together_is_refused()
    {
        using var classifier = TextClassifier.FromScratch(FinetunerTests.Tiny, Animals.Labels, seed: 3);
        using var term = new Distillation();
        Assert.Contains("mixup", Assert.Throws<ArgumentException>(() => new Finetuner(new FinetuneSettings { Objective = new() { MixupAlpha = 0.2 } }, term).Run(classifier, Animals)).Message);
        Assert.Contains("HeadOnly", Assert.Throws<ArgumentException>(() => new Finetuner(new FinetuneSettings { Trained = Trained.HeadOnly }, term).Run(classifier, Animals)).Message);
        Assert.Contains("oldClasses is 5", Assert.Throws<ArgumentException>(() => new Finetuner(new FinetuneSettings(), new Distillation(oldClasses: 5)).Run(classifier, Animals)).Message);
        Assert.Throws<ArgumentOutOfRangeException>(() => new Ewc(0));
    }

    /// <summary>Expected: by hand.</summary>
    [Fact]
    public void Weights_of_before_and_after_are_mixed_in_the_shares_asked_for()
    {
        using var classifier = TextClassifier.FromScratch(FinetunerTests.Still, Animals.Labels, seed: 3);
        using var before = ModelWeights.Of(classifier);
        var old = Copies(classifier);
        Disturb(classifier);
        var now = Copies(classifier);
        before.MixInto(classifier, 0.25);
        foreach (var (name, parameter) in classifier.Model.named_parameters())
            Assert.True((parameter - (old[name] * 0.75 + now[name] * 0.25)).abs().max().ToDouble() < 1e-6, name);
        before.PutInto(classifier);
        foreach (var (name, parameter) in classifier.Model.named_parameters()) Assert.Equal(old[name].data<float>().ToArray(), parameter.detach().data<float>().ToArray());
        Assert.Throws<ArgumentOutOfRangeException>(() => before.MixInto(classifier, 1.5));
    }

    [Fact]
    public void A_head_takes_more_classes_and_answers_as_before_among_the_old()
    {
        using var classifier = TextClassifier.FromScratch(FinetunerTests.Tiny, Animals.Labels, seed: 3);
        using var wider = classifier.WithClasses(["fish", "tree"], seed: 1);
        Assert.Equal([.. Animals.Labels.Names, "fish", "tree"], wider.Labels.Names);
        foreach (var (expected, got) in classifier.Logits(Animals.Texts).Zip(wider.Logits(Animals.Texts))) Assert.All(expected.Zip(got), p => Assert.Equal(p.First, p.Second, 1e-6));
        Assert.Contains("given twice", Assert.Throws<ArgumentException>(() => classifier.WithClasses([Animals.Labels[0]], seed: 1)).Message);
    }

    private static Ewc Held(TextClassifier classifier, double strength)
    {
        var ewc = new Ewc(strength);
        ewc.Hold(classifier, Animals);
        return ewc;
    }

    private static Dictionary<string, Tensor> Copies(TextClassifier classifier) => classifier.Model.named_parameters().ToDictionary(p => p.name, p => p.parameter.detach().clone());

    private static void Disturb(TextClassifier classifier)
    {
        using var noGradient = no_grad();
        foreach (var (_, parameter) in classifier.Model.named_parameters())
        {
            parameter.add_(randn_like(parameter) * 0.1);
            parameter.grad = zeros_like(parameter);
        }
    }
}

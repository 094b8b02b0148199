using static TorchSharp.torch;

namespace NotebookKit.Training.Runs;

/// <summary>The best epochs of a run, and their average (greedy soup, Wortsman et al. 2022, algorithm 1, over the epochs of one run).</summary>
internal sealed class WeightSoup(IReadOnlyList<(string Name, Tensor Weights)> weights, int size) : IDisposable
{
    private readonly List<(SoupMember Member, WeightSnapshot Copy)> _members = [];

    /// <summary>The epochs that are held, best first.</summary>
    public IReadOnlyList<SoupMember> Members => [.. _members.Select(m => m.Member)];

    /// <summary>Their weights by name, for checkpoints; live tensors, not copies.</summary>
    public IEnumerable<KeyValuePair<string, Tensor>> State => _members.SelectMany((m, i) => m.Copy.State.Select(s => KeyValuePair.Create($"{i}.{s.Key}", s.Value)));

    /// <summary>Takes the weights as they are, where they are among the best.</summary>
    public void Offer(SoupMember member)
    {
        var at = _members.TakeWhile(m => m.Member.IsNoWorseThan(member)).Count();
        if (at == size) return;
        var copy = _members.Count == size ? _members[^1].Copy : null;
        if (copy is null) copy = new WeightSnapshot(weights);
        else
        {
            _members.RemoveAt(size - 1);
            copy.Take(weights);
        }
        _members.Insert(at, (member, copy));
    }

    /// <summary>Makes room for what a checkpoint holds.</summary>
    public void Restore(IEnumerable<SoupMember> members)
    {
        Dispose();
        _members.AddRange(members.Select(m => (m, new WeightSnapshot(weights))));
    }

    /// <summary>Puts the average of the best into the weights, and with each further epoch, best first, keeps it where the measure is no worse.</summary>
    /// <param name="measure">Measures the weights as they are.</param>
    /// <returns>The epochs whose average the weights are now, and its figures.</returns>
    public (IReadOnlyList<int> Epochs, double Accuracy, double Loss) Average(Func<(double Loss, double Accuracy)> measure)
    {
        var taken = new List<(SoupMember Member, WeightSnapshot Copy)> { _members[0] };
        var best = _members[0].Member;
        foreach (var next in _members.Skip(1))
        {
            Put([.. taken, next]);
            var (loss, accuracy) = measure();
            var mixed = new SoupMember(0, accuracy, loss);
            if (!mixed.IsNoWorseThan(best)) continue;
            best = mixed;
            taken.Add(next);
        }
        Put(taken);
        return ([.. taken.Select(t => t.Member.Epoch).Order()], best.Accuracy, best.Loss);
    }

    public void Dispose()
    {
        foreach (var (_, copy) in _members) copy.Dispose();
        _members.Clear();
    }

    private void Put(IReadOnlyList<(SoupMember Member, WeightSnapshot Copy)> parts)
    {
        using var noGradient = no_grad();
        using var scope = NewDisposeScope();
        parts[0].Copy.Restore(weights);
        if (parts.Count == 1) return;
        foreach (var (name, live) in weights)
        {
            foreach (var (_, copy) in parts.Skip(1)) live.add_(copy[name]);
            live.div_(parts.Count);
        }
    }
}

/// <summary>An epoch's figures on the validation part.</summary>
internal sealed record SoupMember(int Epoch, double Accuracy, double Loss)
{
    /// <summary>More accurate, or as accurate at no higher loss.</summary>
    public bool IsNoWorseThan(SoupMember other) => Accuracy > other.Accuracy || Accuracy == other.Accuracy && Loss <= other.Loss;
}

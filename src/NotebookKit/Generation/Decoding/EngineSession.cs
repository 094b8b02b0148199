namespace NotebookKit.Generation.Decoding;

/// <summary>A decoder in the middle of writing, computed by the engine: each row has a memory of its own, so that nothing is padded. Rows of logits are used again from step to step.</summary>
internal sealed class EngineSession(DecodingEngine engine, int[][] prompts, int vocabulary) : DecodingSession
{
    private readonly TokenMemory[] _memories = Array.ConvertAll(prompts, _ => engine.NewMemory());
    private readonly float[][] _logits = Array.ConvertAll(prompts, _ => new float[vocabulary]);

    public override int[][] Start() => prompts;

    public override float[][] Next(int[]? chosen)
    {
        if (chosen is null)
        {
            for (var row = 0; row < prompts.Length; row++)
                foreach (var part in Enumerable.Range(0, prompts[row].Length).Chunk(DecodingEngine.MostRows))
                    engine.Read([.. part.Select(t => new TokenPlace(_memories[row], t, prompts[row][t]))], [.. part.Select(t => t == prompts[row].Length - 1 ? _logits[row] : null)]);
            return _logits;
        }
        foreach (var part in Enumerable.Range(0, prompts.Length).Chunk(DecodingEngine.MostRows))
            engine.Read([.. part.Select(row => new TokenPlace(_memories[row], _memories[row].Length, chosen[row]))], [.. part.Select(row => _logits[row])]);
        return _logits;
    }

    public override void Reorder(int[] rows)
    {
        if (rows.Select((from, to) => from == to).All(same => same)) return;
        var before = _memories.ToArray();
        var moved = new HashSet<int>();
        for (var row = 0; row < rows.Length; row++) _memories[row] = moved.Add(rows[row]) ? before[rows[row]] : before[rows[row]].Copy();
        for (var row = 0; row < before.Length; row++)
            if (!moved.Contains(row)) before[row].Dispose();
    }

    public override void Dispose()
    {
        foreach (var memory in _memories) memory.Dispose();
        engine.Dispose();
    }
}

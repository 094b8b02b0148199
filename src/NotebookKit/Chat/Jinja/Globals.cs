namespace NotebookKit.Chat.Jinja;

/// <summary>Functions every template has.</summary>
internal static class Globals
{
    public static Dictionary<string, object?> Make(DateTimeOffset now)
    {
        var globals = new Dictionary<string, object?>(StringComparer.Ordinal);
        void Add(string name, Func<object?[], IReadOnlyDictionary<string, object?>, object?> body) => globals[name] = new Function(name, body);
        Add("range", (p, _) => Range(p));
        Add("dict", (p, n) => new Mapping([.. p.OfType<Mapping>().SelectMany(m => m.Items), .. n.Select(i => KeyValuePair.Create((object?)i.Key, i.Value))]));
        Add("namespace", (p, n) =>
        {
            var space = new Namespace();
            foreach (var (key, value) in p.OfType<Mapping>().SelectMany(m => m.Items).Concat(n.Select(i => KeyValuePair.Create((object?)i.Key, i.Value)))) space.Values[Python.Text(key)] = value;
            return space;
        });
        Add("raise_exception", (p, _) => throw new JinjaException("TemplateError", Python.Text(p.FirstOrDefault())));
        Add("strftime_now", (p, _) => Formatting.Date(now, p.FirstOrDefault() as string ?? throw JinjaException.Type("strftime() argument 1 must be str")));
        Add("cycler", (p, _) => new Cycler(p));
        Add("joiner", (p, n) => Joiner(p.Length > 0 ? Python.Text(p[0]) : n.TryGetValue("sep", out var sep) ? Python.Text(sep) : ", "));
        Add("lipsum", (_, _) => throw JinjaException.Security("lipsum() has no place in a chat template"));
        return globals;
    }

    private static Sequence Range(object?[] p)
    {
        if (p.Length is 0 or > 3) throw JinjaException.Type($"range expected {(p.Length == 0 ? "at least 1 argument" : "at most 3 arguments")}, got {p.Length}");
        var (start, stop, step) = p.Length == 1 ? (0, Python.Whole(p[0]), 1) : (Python.Whole(p[0]), Python.Whole(p[1]), p.Length > 2 ? Python.Whole(p[2]) : 1);
        if (step == 0) throw new JinjaException("ValueError", "range() arg 3 must not be zero");
        var count = Math.Max(0, (stop - start + step - Math.Sign(step)) / step);
        if (count > 100_000) throw new JinjaException("OverflowError", "Range too big. The sandbox blocks ranges larger than MAX_RANGE (100000).");
        return new Sequence([.. Enumerable.Range(0, (int)count).Select(i => (object?)(start + i * step))]);
    }

    private static Function Joiner(string separator)
    {
        var used = false;
        return new Function("joiner", (_, _) =>
        {
            var text = used ? separator : "";
            used = true;
            return text;
        });
    }

    private sealed class Cycler(object?[] items) : Special
    {
        private int _at;

        public override string TypeName => "Cycler";

        public override object? Get(string name) => name switch
        {
            "current" => items[_at], "next" => new Function("next", (_, _) =>
            {
                var item = items[_at];
                _at = (_at + 1) % items.Length;
                return item;
            }),
            "reset" => new Function("reset", (_, _) =>
            {
                _at = 0;
                return null;
            }),
            _ => Undefined.Of(this, name),
        };
    }
}

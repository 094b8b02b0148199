using System.Globalization;

namespace NotebookKit.Search;

/// <summary>A setting that is searched for.</summary>
/// <param name="Name">Its name.</param>
public abstract record SearchParameter(string Name)
{
    /// <summary>A value, drawn: a number, or the name of a choice.</summary>
    internal abstract object Draw(Random random);

    internal abstract void Validate();

    private protected ArgumentException Wrong(string what) => new($"Search parameter '{Name}': {what}.");
}

/// <summary>A number, each as likely as another.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Low">Smallest.</param>
/// <param name="High">Largest.</param>
public sealed record UniformParameter(string Name, double Low, double High) : SearchParameter(Name)
{
    internal override object Draw(Random random) => Low + random.NextDouble() * (High - Low);

    internal override void Validate()
    {
        if (!(Low < High)) throw Wrong(string.Create(CultureInfo.InvariantCulture, $"Low is {Low}, High {High}; Low is smaller"));
    }
}

/// <summary>A number above 0 whose order of magnitude is searched for, such as a learning rate.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Low">Smallest, above 0.</param>
/// <param name="High">Largest.</param>
public sealed record LogUniformParameter(string Name, double Low, double High) : SearchParameter(Name)
{
    internal override object Draw(Random random) => Math.Exp(Math.Log(Low) + random.NextDouble() * (Math.Log(High) - Math.Log(Low)));

    internal override void Validate()
    {
        if (!(Low > 0 && Low < High)) throw Wrong(string.Create(CultureInfo.InvariantCulture, $"Low is {Low}, High {High}; 0 < Low < High"));
    }
}

/// <summary>A whole number.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Low">Smallest.</param>
/// <param name="High">Largest, itself among the values.</param>
public sealed record WholeParameter(string Name, int Low, int High) : SearchParameter(Name)
{
    internal override object Draw(Random random) => (double)random.Next(Low, High + 1);

    internal override void Validate()
    {
        if (Low >= High) throw Wrong(string.Create(CultureInfo.InvariantCulture, $"Low is {Low}, High {High}; Low is smaller"));
    }
}

/// <summary>One of several.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Choices">Their names, at least two.</param>
public sealed record ChoiceParameter(string Name, params IReadOnlyList<string> Choices) : SearchParameter(Name)
{
    internal override object Draw(Random random) => Choices[random.Next(Choices.Count)];

    internal override void Validate()
    {
        if (Choices.Distinct().Count() < 2) throw Wrong("Choices are at least two");
    }
}

/// <summary>What is tried: a value for each parameter.</summary>
/// <param name="Number">From 1.</param>
/// <param name="Values">A number or the name of a choice, by the parameter's name.</param>
public sealed record Trial(int Number, IReadOnlyDictionary<string, object> Values)
{
    /// <summary>A number.</summary>
    public double Real(string name) => Value(name) is double value ? value : throw new ArgumentException($"'{name}' is a choice: read it by Choice.", nameof(name));

    /// <summary>A whole number.</summary>
    public int Whole(string name) => (int)Real(name);

    /// <summary>A choice.</summary>
    public string Choice(string name) => Value(name) as string ?? throw new ArgumentException($"'{name}' is a number: read it by Real or Whole.", nameof(name));

    /// <inheritdoc/>
    public override string ToString() => string.Join(", ", Values.Select(v => $"{v.Key} {Text(v.Value)}"));

    internal static string Text(object value) => value is double number ? number.ToString("0.###e+0", CultureInfo.InvariantCulture) is var small && Math.Abs(number) is >= 0.01 and < 1e4 || value is 0.0 ? ((double)value).ToString("0.###", CultureInfo.InvariantCulture) : small : (string)value;

    private object Value(string name) => Values.TryGetValue(name, out var value) ? value : throw new ArgumentException($"The search has no parameter '{name}'. It has {string.Join(", ", Values.Keys)}.", nameof(name));
}

using NotebookKit.Pretraining;
using System.Text.Json.Serialization;

namespace NotebookKit.Pretraining.Corpora;

/// <summary>Where a part of a corpus comes from and how its text is read.</summary>
/// <param name="Name">Short name, for the card.</param>
/// <param name="From">Which package manager ships it.</param>
/// <param name="Package">The package, without version (<see cref="PackageOrigin.AptIndex"/> reads apt's own description index instead).</param>
/// <param name="Files">Glob of the files inside the package, such as <c>**/*.html</c>.</param>
/// <param name="Format">How prose is told from markup.</param>
/// <param name="Licence">Licence of the text, as the package states it.</param>
public sealed record CorpusSource(string Name, PackageOrigin From, string Package, string Files, TextFormat Format, string Licence);

/// <summary>Package managers that corpus sources come from.</summary>
[JsonConverter(typeof(JsonStringEnumConverter<PackageOrigin>))]
public enum PackageOrigin
{
    /// <summary>A Debian package, fetched with <c>apt-get download</c>.</summary>
    Debian,
    /// <summary>Debian's package descriptions in English, fetched with <c>apt-get update</c>.</summary>
    AptIndex,
    /// <summary>A package of the npm registry, fetched with <c>npm pack</c>.</summary>
    Npm,
}

/// <summary>Formats that prose is read from.</summary>
[JsonConverter(typeof(JsonStringEnumConverter<TextFormat>))]
public enum TextFormat
{
    /// <summary>HTML or other angle-bracket markup: block elements are paragraphs.</summary>
    Markup,
    /// <summary>Plain text: blank lines part paragraphs; a line with a lone <c>%</c> does too (fortunes).</summary>
    Plain,
    /// <summary>A dictd dictionary (<c>.dict.dz</c>): indented definitions.</summary>
    Dictionary,
    /// <summary>WordNet's <c>data.*</c> files: the gloss after the bar, its examples as passages of their own.</summary>
    WordNet,
    /// <summary>apt's Translation index: long descriptions.</summary>
    PackageDescriptions,
    /// <summary>Perl's pod: paragraphs without commands and code.</summary>
    Pod,
    /// <summary>A JSON array of strings.</summary>
    JsonStrings,
    /// <summary>An e-mail: the body, without headers and quoted lines.</summary>
    Mail,
}

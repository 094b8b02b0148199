using System.Globalization;
using System.Text;
using CsvHelper;
using CsvHelper.Configuration;

namespace NotebookKit.Data;

/// <summary>A file of a public dataset.</summary>
/// <param name="Name">File name.</param>
/// <param name="Sha256">Checksum in lower-case hexadecimal.</param>
/// <param name="Source">Address it is downloaded from, pinned to a commit; a part after <c>#</c> names the entry of a zip file. Empty where only a person can get it.</param>
public sealed record DatasetFile(string Name, string Sha256, string Source);

/// <summary>A dataset the kit knows by name.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Licence">Licence of the data.</param>
/// <param name="Files">Its files; empty for data that the repository holds.</param>
/// <param name="Page">Where people read about it.</param>
public sealed record CatalogEntry(string Name, string Licence, IReadOnlyList<DatasetFile> Files, string Page)
{
    /// <summary>Name of its folder. Default its name.</summary>
    public string Folder { get; init; } = Name;

    /// <summary>Whether it is labelled texts, which <see cref="DatasetCatalog.Load"/> reads; others are given as files.</summary>
    public bool IsLabelled => Read is not null;

    internal Func<string, (TextDataset Train, TextDataset? Validation, TextDataset? Test)>? Read { get; init; }
}

/// <summary>The public datasets the kit knows: what they are made of, where they come from, and how their files are read.</summary>
internal static class PublicDatasets
{
    private const string Raw = "https://raw.githubusercontent.com/", Banking = Raw + "PolyAI-LDN/task-specific-datasets/57ec275d8078/banking_data/", Sst = Raw + "clairett/pytorch-sentiment-classification/457ffd83de90/data/SST2/",
        Qc = Raw + "nltk/nltk_data/5db857e6f7df/packages/corpora/qc.zip#qc/", Multi = Raw + "multi30k/dataset/a3d2e0d26b56/data/task1/raw/", Movies = Raw + "AbhaySoam/Movie-Recommender-System/1b968daa8e9b/ml-latest-small/",
        Davidson = Raw + "t-davidson/hate-speech-and-offensive-language/cb50f7e9eb85/data/", Karpathy = Raw + "karpathy/char-rnn/6f9487a6fe5b/data/tinyshakespeare/";

    public static IReadOnlyList<CatalogEntry> All { get; } =
    [
        new("support-intents", "CC0-1.0", [], "data/support-intents/README.md") { Read = folder => Csv(folder, "train.csv", "validation.csv", "test.csv", new ColumnNames()) },
        new("banking77", "CC-BY-4.0",
        [
            new("train.csv", "b06e26ac675513959a63135f11b94ea7786ed02da65db93a5650d8838cbc664b", Banking + "train.csv"),
            new("test.csv", "d12d6e3bc4c3103966ae786dc435913c0c563dfa328f5a3646d0e62cfeeb474d", Banking + "test.csv"),
        ], "https://github.com/PolyAI-LDN/task-specific-datasets") { Read = folder => Csv(folder, "train.csv", null, "test.csv", new ColumnNames(Label: "category")) },
        new("bitext-support", "CDLA-Sharing-1.0",
        [
            new("Bitext_Sample_Customer_Service_Training_Dataset.csv", "4360971d9ed1884ddc3480b66b50bd3a0ee4b0f5726d1baff6025c69fb854f07", ""),
            new("Bitext_Sample_Customer_Service_Validation_Dataset.csv", "d8bb2011de49a2fd7c12cf0c520e26cc266c8e28501906554a5e22a93e79d177", ""),
            new("Bitext_Sample_Customer_Service_Testing_Dataset.csv", "e5b8984f88ff4e032dec929c93ab15e8165b439056cce665959a386fc14d06d5", ""),
        ], "https://github.com/bitext/customer-support-intent-detection-training-dataset")
        {
            Read = folder => Csv(folder, "Bitext_Sample_Customer_Service_Training_Dataset.csv", "Bitext_Sample_Customer_Service_Validation_Dataset.csv", "Bitext_Sample_Customer_Service_Testing_Dataset.csv", new ColumnNames("utterance", "intent")),
        },
        new("sst2", "not stated",
        [
            new("train.tsv", "ec192f833a64da08f475488a77b0d0b47db47acd0f458bd18433fc793b569920", Sst + "train.tsv"),
            new("dev.tsv", "eddea6b39e601dd4e7a672b53cc40fdf6019fa80522f351206c24340ca5d9359", Sst + "dev.tsv"),
            new("test.tsv", "831169c7e2e429d6026e1bdbb542f33b636e3e596caad9602ebc953c205928b7", Sst + "test.tsv"),
        ], "https://github.com/clairett/pytorch-sentiment-classification") { Read = Sentiment },
        Trec("trec", fine: false), Trec("trec-fine", fine: true),
        new("davidson-moderation", "MIT", [new("labeled_data.csv", "fcb8bc7c68120ae4af04a5b9acd58585513ede11e1548ebf36a5c2040b6f6281", Davidson + "labeled_data.csv")],
            "https://github.com/t-davidson/hate-speech-and-offensive-language") { Read = Moderation },
        new("multi30k", "not established",
        [
            new("train.en.gz", "d79cfa999dd4c51d2cb42499b6796d5a882c3a8a961923c25a898c90f8bbd56f", Multi + "train.en.gz"),
            new("train.de.gz", "726e39b2fa9eb9ffb6dc763fb35a179f80fae06ffc5d28b6ace5faa883de28a6", Multi + "train.de.gz"),
            new("train.fr.gz", "622e75069e9f4c577425c4f277116ce66e63a2401c0a2312d90073cb12379a3c", Multi + "train.fr.gz"),
            new("val.en.gz", "14f7d25ddd868909a9213e361768460edcacdd6ab9d1e77b92560dc10c10dc28", Multi + "val.en.gz"),
            new("val.de.gz", "f0cba2f995189cf5770f29a8a9a537a3ad3f51657ad873405082ff6863a5e75a", Multi + "val.de.gz"),
            new("val.fr.gz", "ca3106f1a72390591d25f6c45cb4cd39dec4cd3f123e099748a3ce5256c160e9", Multi + "val.fr.gz"),
            new("test_2016_flickr.en.gz", "611d361c6334bc7246101d48097c13cf5c4413c5befc793cc629934359d532d9", Multi + "test_2016_flickr.en.gz"),
            new("test_2016_flickr.de.gz", "9204244e408ccb38d2a55cfcd344df15005fc42a07a6e55ca6c52b6ababb8cc8", Multi + "test_2016_flickr.de.gz"),
            new("test_2016_flickr.fr.gz", "6d326e188d259fb1d04ac19eae3af956559b3a0b93d7635e56c90987c40c8b90", Multi + "test_2016_flickr.fr.gz"),
        ], "https://github.com/multi30k/dataset"),
        new("movielens-small", "GroupLens, non-commercial",
        [
            new("ratings.csv", "44f8bc6b1ab2cdff269f8dd3fe5c778bb8082a8e9dfe3f7f1ed6f12d8b36963b", Movies + "ratings.csv"),
            new("movies.csv", "a87480009b75ecd8d1e8f70700c534b6aefd57eed31b087ce8268ef6061a166c", Movies + "movies.csv"),
        ], "https://grouplens.org/datasets/movielens/"),
        new("tinyshakespeare", "public domain", [new("input.txt", "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed", Karpathy + "input.txt")], "https://github.com/karpathy/char-rnn"),
    ];

    private static CatalogEntry Trec(string name, bool fine) => new(name, "research use",
    [
        new("train.txt", "9e4c8bdcaffb96ed61041bd64b564183d52793a8e91d84fc3a8646885f466ec3", Qc + "train.txt"),
        new("test.txt", "033f22c028c2bbba9ca682f68ffe204dc1aa6e1cf35dd6207f2d4ca67f0d0e8e", Qc + "test.txt"),
    ], "https://cogcomp.seas.upenn.edu/Data/QA/QC/")
    {
        Folder = "trec",
        // Each line: COARSE:fine and the question; the training part is Latin-1.
        Read = folder =>
        {
            var train = Questions(Path.Combine(folder, "train.txt"), fine);
            var test = new TextDataset("trec", Questions(Path.Combine(folder, "test.txt"), fine), train.Labels);
            if (!fine) return (train, null, test);
            // Some of the fifty classes have four questions: those with fewer than ten stay in the training part.
            var held = train.Select((example, i) => (example, i)).GroupBy(x => x.example.Label).Where(g => g.Count() >= 10).SelectMany(g => g.Where((_, k) => k % 10 == 0)).Select(x => x.i).ToHashSet();
            TextDataset Part(bool validation) => new("trec", train.Where((_, i) => held.Contains(i) == validation), train.Labels);
            return (Part(false), Part(true), test);
        },
    };

    private static (TextDataset, TextDataset?, TextDataset?) Csv(string folder, string train, string? validation, string test, ColumnNames columns)
    {
        var first = DatasetReader.Read(Path.Combine(folder, train), columns);
        return (first, validation is null ? null : DatasetReader.Read(Path.Combine(folder, validation), columns, first.Labels), DatasetReader.Read(Path.Combine(folder, test), columns, first.Labels));
    }

    private static TextDataset Questions(string path, bool fine) => new("trec", File.ReadLines(path, Encoding.Latin1).Where(l => l.Length > 0).Select((line, i) =>
        line.IndexOf(' ') is > 0 and var space && line.IndexOf(':') is > 0 and var colon && colon < space ? new Example(line[(space + 1)..].Trim(), line[..(fine ? space : colon)])
            : throw new InvalidDataException($"'{path}', line {i + 1}: COARSE:fine and a question are wanted; found '{line}'.")));

    private static (TextDataset, TextDataset?, TextDataset?) Sentiment(string folder)
    {
        var labels = new LabelSet(["negative", "positive"]);
        TextDataset Part(string file) => new(file, File.ReadLines(Path.Combine(folder, file)).Where(l => l.Length > 0).Select((line, i) => line.Split('\t') is [var text, "0" or "1"] fields
            ? new Example(text, fields[1] == "1" ? "positive" : "negative") : throw new InvalidDataException($"'{Path.Combine(folder, file)}', line {i + 1}: a text, a tab, and 0 or 1 are wanted.")), labels);
        return (Part("train.tsv"), Part("dev.tsv"), Part("test.tsv"));
    }

    private static (TextDataset, TextDataset?, TextDataset?) Moderation(string folder)
    {
        string[] names = ["hate speech", "offensive", "neither"];
        using var csv = new CsvReader(new StreamReader(Path.Combine(folder, "labeled_data.csv"), Encoding.UTF8), new CsvConfiguration(CultureInfo.InvariantCulture));
        csv.Read();
        csv.ReadHeader();
        var examples = new List<Example>();
        while (csv.Read()) examples.Add(new Example(csv["tweet"]!, names[csv.GetField<int>("class")]));
        return (new TextDataset("davidson-moderation", examples, new LabelSet(names)), null, null);
    }
}

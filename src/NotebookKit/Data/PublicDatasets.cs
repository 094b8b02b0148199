using System.Text;

namespace NotebookKit.Data;

/// <summary>The datasets of the catalogue: where each comes from, pinned to a commit, its checksums, and how its parts are read. Nothing of them is in the repository.</summary>
internal static class PublicDatasets
{
    private const string Bitext = "Bitext_Sample_Customer_Service_";
    private const string TrecArchive = "https://raw.githubusercontent.com/nltk/nltk_data/5db857e6f7df/packages/corpora/qc.zip";

    private static readonly IReadOnlyList<DatasetFile> TrecFiles =
    [
        new("train.txt", "9e4c8bdcaffb96ed61041bd64b564183d52793a8e91d84fc3a8646885f466ec3", TrecArchive, "qc/train.txt"),
        new("test.txt", "033f22c028c2bbba9ca682f68ffe204dc1aa6e1cf35dd6207f2d4ca67f0d0e8e", TrecArchive, "qc/test.txt"),
    ];

    public static IReadOnlyList<CatalogEntry> Entries { get; } =
    [
        new("support-intents", DatasetTask.Classification, "CC0-1.0", [], "messages to a shop's service desk, 27 intents; comes with the kit") { Read = folder => Tables(folder, "support-intents", new ColumnNames()) },
        new("banking77", DatasetTask.Classification, "CC-BY-4.0",
        [
            new("train.csv", "b06e26ac675513959a63135f11b94ea7786ed02da65db93a5650d8838cbc664b", "https://raw.githubusercontent.com/PolyAI-LDN/task-specific-datasets/57ec275d8078/banking_data/train.csv"),
            new("test.csv", "d12d6e3bc4c3103966ae786dc435913c0c563dfa328f5a3646d0e62cfeeb474d", "https://raw.githubusercontent.com/PolyAI-LDN/task-specific-datasets/57ec275d8078/banking_data/test.csv"),
        ], "questions to a bank, 77 intents") { Read = folder => Tables(folder, "banking77", new ColumnNames(Label: "category")) },
        new("bitext-support", DatasetTask.Classification, "CDLA-Sharing-1.0",
        [
            new("Bitext_Sample_Customer_Service_Training_Dataset.csv", "4360971d9ed1884ddc3480b66b50bd3a0ee4b0f5726d1baff6025c69fb854f07", ""),
            new("Bitext_Sample_Customer_Service_Validation_Dataset.csv", "d8bb2011de49a2fd7c12cf0c520e26cc266c8e28501906554a5e22a93e79d177", ""),
            new("Bitext_Sample_Customer_Service_Testing_Dataset.csv", "e5b8984f88ff4e032dec929c93ab15e8165b439056cce665959a386fc14d06d5", ""),
        ], "customer support, 27 intents; Kind is the category, of 11")
        {
            Page = "https://github.com/bitext/customer-support-intent-detection-training-dataset",
            Read = folder => Tables(folder, "bitext-support", new ColumnNames("utterance", "intent", "category"), $"{Bitext}Training_Dataset.csv", $"{Bitext}Validation_Dataset.csv", $"{Bitext}Testing_Dataset.csv"),
        },
        new("sst2", DatasetTask.Classification, "not stated by the source",
        [
            new("train.tsv", "ec192f833a64da08f475488a77b0d0b47db47acd0f458bd18433fc793b569920", "https://raw.githubusercontent.com/clairett/pytorch-sentiment-classification/457ffd83de90a9d6d472d8ffc31bbffe40a8b236/data/SST2/train.tsv"),
            new("dev.tsv", "eddea6b39e601dd4e7a672b53cc40fdf6019fa80522f351206c24340ca5d9359", "https://raw.githubusercontent.com/clairett/pytorch-sentiment-classification/457ffd83de90a9d6d472d8ffc31bbffe40a8b236/data/SST2/dev.tsv"),
            new("test.tsv", "831169c7e2e429d6026e1bdbb542f33b636e3e596caad9602ebc953c205928b7", "https://raw.githubusercontent.com/clairett/pytorch-sentiment-classification/457ffd83de90a9d6d472d8ffc31bbffe40a8b236/data/SST2/test.tsv"),
        ], "sentences of film reviews, negative or positive") { Read = Sst2 },
        new("trec", DatasetTask.Classification, "research use", TrecFiles, "questions, 6 types of answer; Kind is the fine type, of 50") { Read = folder => Trec(folder, fine: false) },
        new("trec-fine", DatasetTask.Classification, "research use", TrecFiles, "the same questions, 50 fine types") { Folder = "trec", Read = folder => Trec(folder, fine: true) },
        new("davidson-moderation", DatasetTask.Classification, "MIT",
        [
            new("labeled_data.csv", "fcb8bc7c68120ae4af04a5b9acd58585513ede11e1548ebf36a5c2040b6f6281", "https://raw.githubusercontent.com/t-davidson/hate-speech-and-offensive-language/cb50f7e9eb85/data/labeled_data.csv"),
        ], "tweets: hate speech, offensive language or neither (the data quotes abuse)") { Read = Davidson },
        new("multi30k", DatasetTask.Translation, "not established",
        [
            new("train.en.gz", "d79cfa999dd4c51d2cb42499b6796d5a882c3a8a961923c25a898c90f8bbd56f", "https://raw.githubusercontent.com/multi30k/dataset/a3d2e0d26b56/data/task1/raw/train.en.gz"),
            new("train.de.gz", "726e39b2fa9eb9ffb6dc763fb35a179f80fae06ffc5d28b6ace5faa883de28a6", "https://raw.githubusercontent.com/multi30k/dataset/a3d2e0d26b56/data/task1/raw/train.de.gz"),
            new("train.fr.gz", "622e75069e9f4c577425c4f277116ce66e63a2401c0a2312d90073cb12379a3c", "https://raw.githubusercontent.com/multi30k/dataset/a3d2e0d26b56/data/task1/raw/train.fr.gz"),
            new("val.en.gz", "14f7d25ddd868909a9213e361768460edcacdd6ab9d1e77b92560dc10c10dc28", "https://raw.githubusercontent.com/multi30k/dataset/a3d2e0d26b56/data/task1/raw/val.en.gz"),
            new("val.de.gz", "f0cba2f995189cf5770f29a8a9a537a3ad3f51657ad873405082ff6863a5e75a", "https://raw.githubusercontent.com/multi30k/dataset/a3d2e0d26b56/data/task1/raw/val.de.gz"),
            new("val.fr.gz", "ca3106f1a72390591d25f6c45cb4cd39dec4cd3f123e099748a3ce5256c160e9", "https://raw.githubusercontent.com/multi30k/dataset/a3d2e0d26b56/data/task1/raw/val.fr.gz"),
            new("test_2016_flickr.en.gz", "611d361c6334bc7246101d48097c13cf5c4413c5befc793cc629934359d532d9", "https://raw.githubusercontent.com/multi30k/dataset/a3d2e0d26b56/data/task1/raw/test_2016_flickr.en.gz"),
            new("test_2016_flickr.de.gz", "9204244e408ccb38d2a55cfcd344df15005fc42a07a6e55ca6c52b6ababb8cc8", "https://raw.githubusercontent.com/multi30k/dataset/a3d2e0d26b56/data/task1/raw/test_2016_flickr.de.gz"),
            new("test_2016_flickr.fr.gz", "6d326e188d259fb1d04ac19eae3af956559b3a0b93d7635e56c90987c40c8b90", "https://raw.githubusercontent.com/multi30k/dataset/a3d2e0d26b56/data/task1/raw/test_2016_flickr.fr.gz"),
        ], "image captions in English, German and French, aligned by line, gzip"),
        new("movielens-small", DatasetTask.Ratings, "GroupLens, non-commercial",
        [
            new("ratings.csv", "44f8bc6b1ab2cdff269f8dd3fe5c778bb8082a8e9dfe3f7f1ed6f12d8b36963b", "https://raw.githubusercontent.com/AbhaySoam/Movie-Recommender-System/1b968daa8e9b/ml-latest-small/ratings.csv"),
            new("movies.csv", "a87480009b75ecd8d1e8f70700c534b6aefd57eed31b087ce8268ef6061a166c", "https://raw.githubusercontent.com/AbhaySoam/Movie-Recommender-System/1b968daa8e9b/ml-latest-small/movies.csv"),
            new("README.txt", "59be481ddf3fab0f9f7cf2f73e0db4d0920a413a313c911b62bd01ee8816ea2f", "https://raw.githubusercontent.com/AbhaySoam/Movie-Recommender-System/1b968daa8e9b/ml-latest-small/README.txt"),
        ], "100,004 film ratings by 671 users, titles and genres"),
        new("tinyshakespeare", DatasetTask.PlainText, "public-domain text",
        [
            new("input.txt", "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed", "https://raw.githubusercontent.com/karpathy/char-rnn/6f9487a6fe5b/data/tinyshakespeare/input.txt"),
        ], "plays in one file of 1.1 MB"),
    ];

    /// <summary>Tables with a header; without a validation part, a tenth of every class is cut from the training part.</summary>
    private static DatasetSplits Tables(string folder, string name, ColumnNames columns, string train = "train.csv", string validation = "validation.csv", string test = "test.csv")
    {
        var learnt = DatasetReader.Read(Path.Combine(folder, train), columns);
        var tested = DatasetReader.Read(Path.Combine(folder, test), columns, learnt.Labels);
        return File.Exists(Path.Combine(folder, validation)) ? Parts(name, learnt, DatasetReader.Read(Path.Combine(folder, validation), columns, learnt.Labels), tested) : Cut(name, learnt, tested);
    }

    /// <summary>Text, a tab, 0 or 1; no header, and quotes mean nothing.</summary>
    private static DatasetSplits Sst2(string folder)
    {
        var labels = new LabelSet(["negative", "positive"]);
        TextDataset Read(string file) => new(file, File.ReadLines(Path.Combine(folder, file), Encoding.UTF8).Where(l => l.Length > 0).Select((line, i) =>
            line.Split('\t') is [var text, ("0" or "1") and var label] ? new Example(text, labels[label == "1" ? 1 : 0])
                : throw new InvalidDataException($"'{Path.Combine(folder, file)}', row {i + 1}: a text, a tab and 0 or 1 are needed.")), labels);

        return Parts("sst2", Read("train.tsv"), Read("dev.tsv"), Read("test.tsv"));
    }

    /// <summary>COARSE:fine, a space, the question, in ISO-8859-1. Both tasks are cut by the coarse type: the parts have the same questions, and no fine type is too small.</summary>
    private static DatasetSplits Trec(string folder, bool fine)
    {
        TextDataset Read(string file, LabelSet? labels = null) => new(file, File.ReadLines(Path.Combine(folder, file), Encoding.Latin1).Where(l => l.Length > 0).Select((line, i) =>
            line.Split(' ', 2) is [var type, var question] && type.Split(':') is [var coarse, _] ? new Example(question.Trim(), coarse) { Kind = type }
                : throw new InvalidDataException($"'{Path.Combine(folder, file)}', row {i + 1}: COARSE:fine, a space and a question are needed.")), labels);

        var all = Read("train.txt");
        var parts = Cut("trec", all, Read("test.txt", all.Labels));
        if (!fine) return parts;
        var types = new LabelSet(all.Select(e => e.Kind!).Distinct().Order(StringComparer.Ordinal));
        TextDataset Fine(TextDataset part) => new(part.Name, part.Select(e => e with { Label = e.Kind!, Kind = e.Label }), types);
        return Parts("trec-fine", Fine(parts.Train), Fine(parts.Validation), Fine(parts.Test));
    }

    /// <summary>One file: a tenth of every class is the test part, a tenth of the rest the validation part.</summary>
    private static DatasetSplits Davidson(string folder)
    {
        string[] names = ["hate_speech", "offensive_language", "neither"]; // 0, 1, 2
        var data = DatasetReader.Read(Path.Combine(folder, "labeled_data.csv"), new ColumnNames("tweet", "class"), new LabelSet(["0", "1", "2"]));
        var named = new TextDataset("davidson-moderation", data.Select(e => e with { Label = names[e.Label[0] - '0'] }), new LabelSet(names));
        var (rest, test) = StratifiedSplit.Cut(named, 0.1, seed: 0);
        return Cut("davidson-moderation", rest, test);
    }

    private static DatasetSplits Cut(string name, TextDataset train, TextDataset test)
    {
        var (rest, validation) = StratifiedSplit.Cut(train, 0.1, seed: 0);
        return Parts(name, rest, validation, test);
    }

    private static DatasetSplits Parts(string name, TextDataset train, TextDataset validation, TextDataset test) => new(name,
        new TextDataset($"{name} train", train, train.Labels),
        new TextDataset($"{name} validation", validation, train.Labels),
        new TextDataset($"{name} test", test, train.Labels));
}

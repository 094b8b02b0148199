using NotebookKit.Data;

namespace NotebookKit.Tests.Data;

/// <summary>Expected values: what stands in the files, by hand.</summary>
public sealed class DatasetReaderTests
{
    [Fact]
    public void Quoted_fields_line_breaks_and_a_byte_order_mark_are_read()
    {
        using var folder = TestData.NewFolder();
        File.WriteAllText(folder["x.csv"], "label,text,extra\na,\"one, \"\"two\"\"\",1\nb,\"line\nbreak\",2\n", new System.Text.UTF8Encoding(true));
        var data = DatasetReader.Read(folder["x.csv"]);
        Assert.Equal(["one, \"two\"", "line\nbreak"], data.Texts);
        Assert.Equal(["a", "b"], data.Select(e => e.Label));
    }

    [Fact]
    public void Tab_separated_and_json_lines_are_read()
    {
        using var folder = TestData.NewFolder();
        File.WriteAllText(folder["x.tsv"], "text\tlabel\tkind\nhello, you\ta\tshort\nbye\tb\tlong\n");
        File.WriteAllText(folder["x.jsonl"], "{\"text\":\"hello, you\",\"label\":\"a\",\"kind\":\"short\"}\n\n{\"text\":\"bye\",\"label\":\"b\",\"kind\":\"long\"}\n");
        Assert.Equal(DatasetReader.Read(folder["x.tsv"]).ToArray(), DatasetReader.Read(folder["x.jsonl"]).ToArray());
        Assert.Equal("long", DatasetReader.Read(folder["x.tsv"])[1].Kind);
    }

    [Theory]
    [InlineData("x.csv", "text,label\nhello,a\n,b\n", "row 3", "empty")]
    [InlineData("x.csv", "text,label\nhello,a\nbye,b,c\n", "row 3", "3 fields")]
    [InlineData("x.csv", "text,label\nhello,a\nb\"ye,b\n", "row 3", "quote")]
    [InlineData("x.csv", "text,label\nhello,\n", "row 2", "label")]
    [InlineData("x.csv", "message,label\nhello,a\n", "x.csv", "no column 'text'. Its columns are 'message', 'label'")]
    [InlineData("x.csv", "text,text,label\nhello,x,a\n", "x.csv", "2 columns 'text'")]
    [InlineData("x.csv", "", "x.csv", "empty")]
    [InlineData("x.csv", "text,label\n", "x.csv", "no examples")]
    [InlineData("x.jsonl", "{\"text\":\"a\",\"label\":\"b\"}\n{oops\n", "row 2", "JSON")]
    [InlineData("x.jsonl", "{\"text\":\"a\"}\n", "row 1", "no property 'label'")]
    public void Bad_input_is_refused_naming_file_and_row(string name, string content, string where, string says)
    {
        using var folder = TestData.NewFolder();
        File.WriteAllText(folder[name], content);
        var error = Assert.Throws<InvalidDataException>(() => DatasetReader.Read(folder[name]));
        Assert.Contains(name, error.Message);
        Assert.Contains(where, error.Message);
        Assert.Contains(says, error.Message);
    }

    [Fact]
    public void An_unknown_label_is_refused_with_the_nearest_known_one()
    {
        using var folder = TestData.NewFolder();
        File.WriteAllText(folder["x.csv"], "text,label\nhello,refund\nbye,refnud\n");
        var error = Assert.Throws<InvalidDataException>(() => DatasetReader.Read(folder["x.csv"], labels: new LabelSet(["cancel", "refund"])));
        Assert.Contains("row 3", error.Message);
        Assert.Contains("Did you mean 'refund'?", error.Message);
    }

    [Fact]
    public void A_missing_file_and_a_strange_extension_are_refused()
    {
        Assert.Contains("nowhere.csv", Assert.Throws<FileNotFoundException>(() => DatasetReader.Read("nowhere.csv")).Message);
        using var folder = TestData.NewFolder();
        File.WriteAllText(folder["x.xlsx"], "");
        Assert.Contains(".xlsx", Assert.Throws<ArgumentException>(() => DatasetReader.Read(folder["x.xlsx"])).Message);
    }
}

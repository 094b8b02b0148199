using System.Buffers.Binary;
using System.Globalization;
using System.Text;
using NotebookKit.Pipelines;
using NotebookKit.Tests.Training;
using NotebookKit.Tracking;
using NotebookKit.Training;

namespace NotebookKit.Tests.Tracking;

/// <summary>What a run tells, and what each listener makes of it.</summary>
public sealed class TrackingTests : IDisposable
{
    private readonly TemporaryFolder _folder = TestData.NewFolder();

    [Fact]
    public void A_run_reports_start_steps_epochs_and_end_in_order()
    {
        var told = Train(new FinetuneSettings { Epochs = 2, BatchSize = 4, Seed = 7, LearningRate = 1e-3 });
        Assert.Equal(["RunStarted", .. Enumerable.Repeat("TrainingProgress", 2), "EpochEnded", .. Enumerable.Repeat("TrainingProgress", 2), "EpochEnded", "RunEnded"], told.Select(t => t.GetType().Name));
        var run = ((RunStarted)told[0]).Run;
        Assert.Equal(("animals", 7, "0.001", "AdamWSettings", "0.999"), (run.Name, run.Seed, run.Settings["LearningRate"], run.Settings["Optimizer"], run.Settings["Optimizer.Beta2"]));
        Assert.Equal(["first weights", "training data", "validation data"], run.Hashes.Keys.Order());
        Assert.All(told.Where(t => t.GetType() == typeof(TrainingProgress)), t => Assert.True(t is { BatchLoss: > 0, LearningRate: >= 0, GradientNorm: > 0 }));
        var epoch = told.OfType<EpochEnded>().First();
        Assert.Equal(told.Take(3).Skip(1).Average(t => t.BatchLoss!.Value), epoch.Measured.TrainLoss, 1e-6);      // two batches of four examples each
    }

    [Fact]
    public void A_log_has_a_line_for_every_report_and_reads_back()
    {
        List<TrainingProgress> told;
        using (var log = new JsonLinesLog(_folder["run.jsonl"])) told = Train(new FinetuneSettings { Epochs = 3, BatchSize = 4 }, log);
        Assert.Equal(told.Count, File.ReadAllLines(_folder["run.jsonl"]).Length);
        File.AppendAllText(_folder["run.jsonl"], "{\"phase\":\"finetune\",\"st");                                  // as a killed process may leave it
        var read = RunLog.Read(_folder["run.jsonl"]);
        Assert.Equal(told.OfType<EpochEnded>().Select(e => e.Measured), read.Epochs);
        Assert.Equal(((RunStarted)told[0]).Run.Fields(), read.Run.Fields());
        Assert.True(read.IsDone);
        Assert.Equal(6, read.Steps);
        File.WriteAllText(_folder["other.jsonl"], "{}\n");
        Assert.Contains("other.jsonl", Assert.Throws<InvalidDataException>(() => RunLog.Read(_folder["other.jsonl"])).Message);
    }

    [Fact]
    public void Two_runs_compare_in_one_call()
    {
        using (var log = new JsonLinesLog(_folder["a.jsonl"])) Train(new FinetuneSettings { Epochs = 1, BatchSize = 4 }, log);
        using (var log = new JsonLinesLog(_folder["b.jsonl"])) Train(new FinetuneSettings { Epochs = 2, BatchSize = 4 }, log);
        var table = RunLog.Compare(_folder["a.jsonl"], _folder["b.jsonl"]);
        Assert.Equal(["Epochs", "steps", "last training loss", "best validation accuracy", "ended"], table.Rows.Select(r => r[0]));
        Assert.Equal(["Epochs", "1", "2"], table.Rows[0]);
        Assert.StartsWith("The same settings", RunLog.Compare(_folder["a.jsonl"], _folder["a.jsonl"]).Caption);
    }

    /// <summary>Expected: the CRC of RFC 3720, B.4 (32 zero bytes: 8a9136aa), masked by TensorBoard's rule; then the file decoded by the published formats, field by field.</summary>
    [Fact]
    public void TensorBoard_files_decode_to_what_was_reported()
    {
        Assert.Equal(unchecked(((0x8a9136aau >> 15) | (0x8a9136aau << 17)) + 0xa282ead8), TensorBoardLog.MaskedCrc(new byte[32]));
        List<TrainingProgress> told;
        using (var log = new TensorBoardLog(_folder["board"])) told = Train(new FinetuneSettings { Epochs = 2, BatchSize = 4 }, log);
        var bytes = File.ReadAllBytes(Directory.GetFiles(_folder["board"], "events.out.tfevents.*").Single());
        var scalars = new List<(long Step, string Tag, float Value)>();
        var records = 0;
        for (var at = 0; at < bytes.Length; records++)
        {
            var length = (int)BinaryPrimitives.ReadUInt64LittleEndian(bytes.AsSpan(at));
            Assert.Equal(TensorBoardLog.MaskedCrc(bytes.AsSpan(at, 8)), BinaryPrimitives.ReadUInt32LittleEndian(bytes.AsSpan(at + 8)));
            var data = bytes.AsSpan(at + 12, length).ToArray();
            Assert.Equal(TensorBoardLog.MaskedCrc(data), BinaryPrimitives.ReadUInt32LittleEndian(bytes.AsSpan(at + 12 + length)));
            at += 16 + length;
            var fields = Fields(data);
            if (records == 0) Assert.Equal("brain.Event:2", Encoding.UTF8.GetString(fields.Single(f => f.Field == 3).Bytes));
            var step = fields.Where(f => f.Field == 2).Select(f => (long)f.Number).SingleOrDefault();
            foreach (var value in fields.Where(f => f.Field == 5).SelectMany(f => Fields(f.Bytes)))
            {
                var one = Fields(value.Bytes);
                scalars.Add((step, Encoding.UTF8.GetString(one.Single(f => f.Field == 1).Bytes), BinaryPrimitives.ReadSingleLittleEndian(one.Single(f => f.Field == 2).Bytes)));
            }
        }
        Assert.Equal(told.Where(t => t.BatchLoss is not null).Select(t => ((long)t.Step, (float)t.BatchLoss!)), scalars.Where(s => s.Tag == "step/loss").Select(s => (s.Step, s.Value)));
        Assert.Equal(told.OfType<EpochEnded>().Select(t => (float)t.Measured.ValidationLoss!), scalars.Where(s => s.Tag == "epoch/validation_loss").Select(s => s.Value));
    }

    /// <summary>Expected: the layout and fields of a run that MLflow's own file store wrote.</summary>
    [Fact]
    public void An_MLflow_folder_has_what_its_file_store_reads()
    {
        string run;
        using (var log = new MlflowFolder(_folder["mlruns"], "animals", "first"))
        {
            run = log.Folder;
            Assert.Contains("status: 1\n", File.ReadAllText(Path.Combine(run, "meta.yaml")));
            Train(new FinetuneSettings { Epochs = 2, BatchSize = 4 }, log);
        }
        var meta = File.ReadAllLines(Path.Combine(run, "meta.yaml")).Select(l => l.Split(": ", 2)).ToDictionary(l => l[0], l => l[1]);
        Assert.Equal(["artifact_uri", "end_time", "entry_point_name", "experiment_id", "lifecycle_stage", "run_id", "run_name", "run_uuid", "source_name", "source_type", "source_version", "start_time", "status", "tags", "user_id"], meta.Keys.Order(StringComparer.Ordinal));
        Assert.Equal(("3", "'first'", Path.GetFileName(run)), (meta["status"], meta["run_name"], meta["run_id"]));
        Assert.Equal("'" + Path.GetFileName(Path.GetDirectoryName(run)) + "'", meta["experiment_id"]);
        Assert.Contains("name: 'animals'", File.ReadAllText(Path.Combine(Path.GetDirectoryName(run)!, "meta.yaml")));
        Assert.Equal("2", File.ReadAllText(Path.Combine(run, "params", "Epochs")));
        var losses = File.ReadAllLines(Path.Combine(run, "metrics", "train_loss"));
        Assert.Equal(["2", "4"], losses.Select(l => l.Split(' ')[2]));
        Assert.All(losses, l => Assert.True(double.Parse(l.Split(' ')[1], CultureInfo.InvariantCulture) > 0));
        using (var unfinished = new MlflowFolder(_folder["mlruns"], "animals")) run = unfinished.Folder;
        Assert.Contains("status: 4\n", File.ReadAllText(Path.Combine(run, "meta.yaml")));
    }

    [Fact]
    public void A_listener_that_cannot_write_is_left_out_and_the_run_goes_on()
    {
        var (told, calls) = (new List<TrainingProgress>(), 0);
        var all = new Listeners(new Listener(_ => { if (++calls == 3) throw new IOException("No space left on device"); }), new Listener(told.Add));
        var direct = Train(new FinetuneSettings { Epochs = 2, BatchSize = 4 }, all);
        Assert.Equal(3, calls);
        Assert.Equal(direct.Count + 1, told.Count);
        Assert.Contains(told, t => t.Message?.Contains("No space left", StringComparison.Ordinal) == true);
    }

    [Fact]
    public void A_terminal_is_told_each_epoch_when_its_output_goes_to_a_file()
    {
        using var text = new StringWriter();
        Train(new FinetuneSettings { Epochs = 2, BatchSize = 4 }, new TerminalProgress(text));
        var lines = text.ToString().TrimEnd().Split('\n');
        Assert.Equal(4, lines.Length);
        Assert.StartsWith("animals: 4 steps, seed 0, on ", lines[0]);
        Assert.Matches(@"^epoch 1: training loss \d\.\d{3}, validation loss \d\.\d{3}, accuracy \d+\.\d %$", lines[1].TrimEnd());
        Assert.StartsWith("finetune: done", lines[3]);
    }

    /// <summary>Expected: what git itself wrote into such files.</summary>
    [Fact]
    public void The_commit_is_read_from_branches_packed_references_and_working_trees()
    {
        var (a, b) = (new string('a', 40), new string('b', 40));
        void Write(string path, string text)
        {
            Directory.CreateDirectory(Path.GetDirectoryName(_folder[path])!);
            File.WriteAllText(_folder[path], text);
        }
        Write("repo/.git/HEAD", "ref: refs/heads/main\n");
        Directory.CreateDirectory(_folder["repo/deep/er"]);
        Assert.Null(GitCommit.Of(_folder["repo/deep/er"]));                                                          // no commit yet
        Write("repo/.git/packed-refs", $"# pack-refs with: peeled fully-peeled sorted\n{b} refs/heads/main\n");
        Assert.Equal(b, GitCommit.Of(_folder["repo/deep/er"]));
        Write("repo/.git/refs/heads/main", a + "\n");
        Assert.Equal(a, GitCommit.Of(_folder["repo/deep/er"]));
        Write("repo/.git/worktrees/w/HEAD", "ref: refs/heads/other\n");
        Write("repo/.git/worktrees/w/commondir", "../..\n");
        Write("repo/.git/refs/heads/other", b + "\n");
        Write("w/.git", $"gitdir: {_folder["repo/.git/worktrees/w"]}\n");
        Assert.Equal(b, GitCommit.Of(_folder["w"]));
    }

    public void Dispose() => _folder.Dispose();

    private static List<TrainingProgress> Train(FinetuneSettings settings, IProgress<TrainingProgress>? listener = null)
    {
        var told = new List<TrainingProgress>();
        using var classifier = TextClassifier.FromScratch(FinetunerTests.Tiny, FinetunerTests.Animals.Labels, seed: 3);
        var own = new Listener(told.Add);
        new Finetuner(settings).Run(classifier, FinetunerTests.Animals, FinetunerTests.Animals, listener is null ? own : new Listeners(own, listener));
        return told;
    }

    private static List<(int Field, ulong Number, byte[] Bytes)> Fields(byte[] message)
    {
        var (fields, at) = (new List<(int, ulong, byte[])>(), 0);
        ulong Varint()
        {
            var (value, shift) = (0ul, 0);
            for (; ; shift += 7)
            {
                var b = message[at++];
                value |= (ulong)(b & 0x7f) << shift;
                if (b < 0x80) return value;
            }
        }
        while (at < message.Length)
        {
            var key = Varint();
            var number = (key & 7) == 0 ? Varint() : 0;
            var length = (key & 7) switch { 0 => 0, 1 => 8, 5 => 4, _ => (int)Varint() };
            fields.Add(((int)(key >> 3), number, message[at..(at + length)]));
            at += length;
        }
        return fields;
    }
}

using System.Net;
using System.Net.Http.Headers;
using System.Security.Cryptography;

namespace NotebookKit.Hub;

/// <summary>A file that is wanted: where from, where to, and what it must be.</summary>
/// <param name="Name">For messages.</param>
/// <param name="Address">Where from.</param>
/// <param name="Target">Where to.</param>
/// <param name="Size">Bytes it must have, or <c>null</c>.</param>
/// <param name="Tag">SHA-256 (64 hexadecimal digits) or git's blob SHA-1 (40) that it must have; others are not checked.</param>
/// <param name="Most">Bytes after which an announced or unannounced body is given up.</param>
/// <param name="Refuse">Turns a refusal into an error.</param>
internal sealed record WantedFile(string Name, Uri Address, string Target, long? Size, string? Tag, long Most, Action<HttpResponseMessage> Refuse);

/// <summary>
/// Fetches one file into <c>target.incomplete</c>, goes on where an interrupted download stopped, checks size and checksum, and only then moves it to its name. After an error or a
/// cancellation at most the resumable part is left; bytes that are known to be wrong are deleted.
/// </summary>
internal sealed class FileDownload(HubConnection connection, WantedFile file, ProgressSum progress)
{
    /// <summary>Progress of this size makes earlier failures forgotten, so that a long download survives many short interruptions and yet ends.</summary>
    private const long Advance = 8 << 20;

    private readonly string _partial = file.Target + ".incomplete";
    private EntityTagHeaderValue? _validator;
    private bool _continued;

    public async Task RunAsync(CancellationToken cancellation)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(file.Target)!);
        var failures = 0;
        while (true)
        {
            var before = Length();
            try
            {
                if (file.Size is null || before != file.Size) await FetchAsync(cancellation);
                else _continued = true;
            }
            catch (TransientException e)
            {
                failures = Length() - before >= Advance ? 1 : failures + 1;
                await connection.PauseAsync(failures, e, $"Download of '{file.Name}' from {file.Address.Host} stopped at {Length():N0}{(file.Size is { } size ? $" of {size:N0}" : "")} bytes", cancellation);
                continue;
            }
            if (await ProblemAsync(cancellation) is not { } problem) break;
            File.Delete(_partial);
            // Bytes of an earlier attempt may be of another file: once, all is fetched anew.
            if (!_continued) throw new HubException(HubFailure.Corrupt, $"'{file.Name}' from {file.Address} is not the file that was announced: {problem}. It was deleted. Run the same again; if it stays, the server or something on the way changes the file.");
            _continued = false;
        }
        File.Move(_partial, file.Target, overwrite: true);
        var length = new FileInfo(file.Target).Length;
        progress.Report(file.Name, length, length, done: true);
    }

    private long Length() => File.Exists(_partial) ? new FileInfo(_partial).Length : 0;

    private async Task FetchAsync(CancellationToken cancellation)
    {
        var offset = Length();
        if (offset > file.Size) { File.Delete(_partial); offset = 0; }
        using var answer = await connection.SendAsync(HttpMethod.Get, file.Address, headers =>
        {
            if (offset == 0) return;
            headers.Range = new RangeHeaderValue(offset, null);
            if (_validator is not null) headers.IfRange = new RangeConditionHeaderValue(_validator);
        }, cancellation);
        if (answer.StatusCode == HttpStatusCode.RequestedRangeNotSatisfiable)
        {
            File.Delete(_partial);
            throw new TransientException("the server cannot go on from there (416)");
        }
        file.Refuse(answer);
        if (answer.StatusCode == HttpStatusCode.PartialContent && !Continues(answer, offset))
        {
            File.Delete(_partial);
            _validator = null;
            throw new TransientException("the file changed on the server meanwhile");
        }
        if (answer.StatusCode != HttpStatusCode.PartialContent) offset = 0;
        _continued = offset > 0;
        _validator = answer.Headers.ETag is { IsWeak: false } tag ? tag : null;
        var announced = answer.Content.Headers.ContentLength + offset;
        var most = file.Size ?? file.Most;
        if (announced > most) throw TooLong($"the server announces {announced:N0} bytes");
        await CopyAsync(answer, offset, most, cancellation);
        var got = Length();
        if (got < (file.Size ?? announced)) throw new TransientException($"the body ended early, at {got:N0} of {file.Size ?? announced:N0} bytes");
    }

    private bool Continues(HttpResponseMessage answer, long offset) =>
        answer.Content.Headers.ContentRange is { From: { } from } range && from == offset && (range.Length is null || file.Size is null || range.Length == file.Size)
        && (_validator is null || answer.Headers.ETag is null || _validator.Equals(answer.Headers.ETag));

    private async Task CopyAsync(HttpResponseMessage answer, long offset, long most, CancellationToken cancellation)
    {
        await using var written = new FileStream(_partial, FileMode.OpenOrCreate, FileAccess.Write, FileShare.Read, 1 << 17, useAsync: true);
        written.SetLength(offset);
        written.Position = offset;
        await using var body = await answer.Content.ReadAsStreamAsync(cancellation);
        var buffer = new byte[1 << 17];
        while (true)
        {
            var n = await connection.ReadSomeAsync(body, buffer, cancellation, cancellation);
            if (n == 0) return;
            if (written.Position + n > most) throw TooLong("the body goes on");
            await written.WriteAsync(buffer.AsMemory(0, n), CancellationToken.None);
            progress.Report(file.Name, written.Position, file.Size);
        }
    }

    private HubException TooLong(string what)
    {
        File.Delete(_partial);
        return new HubException(HubFailure.Corrupt, $"'{file.Name}' from {file.Address} has {(file.Size is { } size ? $"{size:N0} bytes by the listing" : $"no announced size and {file.Most:N0} bytes are allowed")}, but {what}. "
            + "It was stopped and deleted. Run the same again; if it stays, the server is not to be trusted.");
    }

    /// <summary>What is wrong with the bytes that are here, or <c>null</c>.</summary>
    private async Task<string?> ProblemAsync(CancellationToken cancellation)
    {
        await using var stream = new FileStream(_partial, FileMode.OpenOrCreate, FileAccess.Read, FileShare.Read, 1 << 17, useAsync: true);
        if (file.Size is { } size && stream.Length != size) return $"it has {stream.Length:N0} bytes, {size:N0} were announced";
        if (file.Tag is not { } tag || !tag.All(char.IsAsciiHexDigitLower) || tag.Length is not (40 or 64)) return null;
        using var hash = IncrementalHash.CreateHash(tag.Length == 64 ? HashAlgorithmName.SHA256 : HashAlgorithmName.SHA1);
        if (tag.Length == 40) hash.AppendData(System.Text.Encoding.ASCII.GetBytes($"blob {stream.Length}\0")); // how git hashes a file
        var buffer = new byte[1 << 17];
        while (await stream.ReadAsync(buffer, cancellation) is var n and > 0) hash.AppendData(buffer, 0, n);
        var got = Convert.ToHexStringLower(hash.GetHashAndReset());
        return got == tag ? null : $"its {(tag.Length == 64 ? "SHA-256" : "git hash")} is {got}, {tag} was announced";
    }
}

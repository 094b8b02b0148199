namespace NotebookKit.Generation.Decoding;

/// <summary>
/// A few threads that share jobs, thousands of times a second: a job begins and ends within a microsecond, since those who wait spin for a while before they sleep. A job has as many parts as there are
/// threads, taken by whoever is free, the caller among them, so that a thread that the system has put aside holds nobody up. Not thread-safe.
/// </summary>
internal sealed class WorkerTeam : IDisposable
{
    private const int SpinsBeforeSleep = 5_000;
    private readonly Thread[] _threads;
    private readonly SemaphoreSlim _wake = new(0);
    private Action<int>? _job;
    private long _state;                                                       // number of the job << 32 | next part
    private int _done, _sleeping;
    private volatile bool _ends;
    private volatile Exception? _failure;

    /// <param name="size">Threads, the caller included.</param>
    public WorkerTeam(int size)
    {
        Parts = size;
        _threads = [.. Enumerable.Range(1, size - 1).Select(i => new Thread(Work) { IsBackground = true, Name = $"decoding {i}" })];
        foreach (var thread in _threads) thread.Start();
    }

    /// <summary>Parts of every job.</summary>
    public int Parts { get; }

    /// <summary>Runs a job with every part from 0 to <see cref="Parts"/> - 1 and returns when all are done.</summary>
    public void Run(Action<int> job)
    {
        if (Parts == 1)
        {
            job(0);
            return;
        }
        (_job, _done) = (job, 0);
        var number = (Volatile.Read(ref _state) >> 32) + 1;
        Interlocked.Exchange(ref _state, number << 32);
        var asleep = Volatile.Read(ref _sleeping);
        if (asleep > 0) _wake.Release(asleep);
        TakeParts(number);
        for (var spin = 0; Volatile.Read(ref _done) < Parts; spin++)
            if (spin < SpinsBeforeSleep) Thread.SpinWait(1);
            else Thread.Yield();
        if (_failure is not { } failure) return;
        _failure = null;
        throw new InvalidOperationException($"A worker failed: {failure.Message}", failure);
    }

    public void Dispose()
    {
        _ends = true;
        Interlocked.Exchange(ref _state, ((Volatile.Read(ref _state) >> 32) + 1) << 32 | uint.MaxValue >> 1);
        if (_threads.Length > 0) _wake.Release(_threads.Length);
        foreach (var thread in _threads) thread.Join();
        _wake.Dispose();
    }

    private void TakeParts(long number)
    {
        while (true)
        {
            var state = Volatile.Read(ref _state);
            var part = (int)state;
            if (state >> 32 != number || part >= Parts) return;
            var job = _job!;                                                  // of this job, since no other begins while a part of it is not taken
            if (Interlocked.CompareExchange(ref _state, state + 1, state) != state) continue;
            try { job(part); }
            catch (Exception e) { _failure = e; }
            Interlocked.Increment(ref _done);
        }
    }

    private void Work()
    {
        var seen = 0L;
        while (!_ends)
        {
            for (var spin = 0; Volatile.Read(ref _state) >> 32 == seen; spin++)
            {
                if (spin < SpinsBeforeSleep)
                {
                    Thread.SpinWait(1);
                    continue;
                }
                Interlocked.Increment(ref _sleeping);
                if (Volatile.Read(ref _state) >> 32 == seen) _wake.Wait(5);   // a wake-up that is missed costs five milliseconds of one thread
                Interlocked.Decrement(ref _sleeping);
            }
            seen = Volatile.Read(ref _state) >> 32;
            TakeParts(seen);
        }
    }
}

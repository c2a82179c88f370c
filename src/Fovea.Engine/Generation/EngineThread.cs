using System.Diagnostics;
using System.Diagnostics.Metrics;
using System.Threading.Channels;
namespace Fovea.Engine;

/// <summary>What a request waits for: its tokens as they come, and its end.</summary>
public sealed class Job(Request request, int[]? embed = null)
{
    public Request Request => request;
    /// <summary>Tokens of a text whose vector is asked for, or null.</summary>
    public int[]? Embed => embed;
    public Channel<Written> Tokens { get; } = Channel.CreateUnbounded<Written>(new() { SingleReader = true, SingleWriter = true });
    public TaskCompletionSource<Writing> Done { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
    public TaskCompletionSource<float[]> Vector { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
    internal Writing? Writing { get; set; }
    internal long Came { get; } = Stopwatch.GetTimestamp();

    internal void Fail(Exception e) { Tokens.Writer.TryComplete(); Done.TrySetException(e); Vector.TrySetException(e); }
}

/// <summary>The one thread on which the model works. Requests wait in a queue of limited length and are moved on together.</summary>
public sealed class EngineThread : IDisposable
{
    public const string Name = "Fovea.Engine";
    static readonly ActivitySource activities = new(Name); static readonly Meter meter = new(Name);
    static readonly Counter<long> readTokens = meter.CreateCounter<long>("fovea.tokens.read"), writtenTokens = meter.CreateCounter<long>("fovea.tokens.written"), ended = meter.CreateCounter<long>("fovea.requests.ended");
    static readonly Histogram<double> seconds = meter.CreateHistogram<double>("fovea.request.seconds", "s");

    readonly Batcher batcher; readonly int parallel; readonly Channel<Job> queue; readonly Thread thread; readonly CancellationTokenSource stop = new(); readonly List<Job> active = [];
    long read, written, finished; volatile int running;

    /// <summary>Starts the thread, which moves up to parallel requests on together while up to waiting others wait. The model stays the caller's, and must live longer.</summary>
    public EngineThread(LoadedModel loaded, BatchOptions options, int parallel, int waiting)
    {
        if (parallel < 1) throw new ArgumentOutOfRangeException(nameof(parallel), parallel, "expected at least 1");
        Loaded = loaded;
        (batcher, this.parallel) = (new(loaded.Model, loaded.Tokenizer, options), parallel);
        queue = Channel.CreateBounded<Job>(new BoundedChannelOptions(waiting) { SingleReader = true });
        thread = new(Work) { IsBackground = true, Name = Name }; thread.Start();
    }

    public LoadedModel Loaded { get; }
    /// <summary>The most tokens of a text.</summary>
    public int Context => batcher.Context;
    public int Waiting => queue.Reader.Count;
    public int Active => running;
    public long CacheBytes => batcher.CacheBytes;
    public long ReadTokens => Interlocked.Read(ref read);
    public long WrittenTokens => Interlocked.Read(ref written);
    public long Finished => Interlocked.Read(ref finished);

    /// <summary>False if too many wait already.</summary>
    public bool TryAdd(Job job) => !stop.IsCancellationRequested && queue.Writer.TryWrite(job);
    /// <summary>Waits for a place in the queue; throws if the thread has stopped.</summary>
    public ValueTask Add(Job job, CancellationToken cancel = default) => queue.Writer.WriteAsync(job, cancel);

    void Work()
    {
        try
        {
            while (true)
            {
                if (active.Count == 0 && !queue.Reader.WaitToReadAsync(stop.Token).AsTask().GetAwaiter().GetResult()) return;
                while (active.Count < parallel && queue.Reader.TryRead(out var job)) Begin(job);
                try { batcher.Step(); }
                catch (Exception e) { foreach (var j in active) j.Fail(e); active.Clear(); throw; }
                for (int i = active.Count - 1; i >= 0; i--) if (active[i].Writing!.Ended) { End(active[i]); active.RemoveAt(i); }
                running = active.Count;
            }
        }
        catch (OperationCanceledException) { }
        finally
        {
            queue.Writer.TryComplete();
            foreach (var j in active) j.Fail(new OperationCanceledException("the server stops"));
            while (queue.Reader.TryRead(out var j)) j.Fail(new OperationCanceledException("the server stops"));
            batcher.Dispose();
        }
    }

    void Begin(Job job)
    {
        try
        {
            if (job.Request.Cancel.IsCancellationRequested) { job.Fail(new OperationCanceledException()); return; }
            if (job.Embed is { } text) { using var a = activities.StartActivity("embed"); job.Vector.SetResult(batcher.Model.Embed(text)); Interlocked.Add(ref read, text.Length); readTokens.Add(text.Length); return; }
            job.Writing = batcher.Add(job.Request, w => job.Tokens.Writer.TryWrite(w));
            active.Add(job); running = active.Count;
        }
        catch (Exception e) when (e is not OutOfMemoryException) { job.Fail(e); }
    }

    void End(Job job)
    {
        var w = job.Writing!; int n = w.Request.Prompt.Length - w.SharedTokens;
        Interlocked.Add(ref read, n); Interlocked.Add(ref written, w.WrittenTokens); Interlocked.Increment(ref finished);
        readTokens.Add(n); writtenTokens.Add(w.WrittenTokens); ended.Add(1, new KeyValuePair<string, object?>("finish", w.Finish.ToString())); seconds.Record(Stopwatch.GetElapsedTime(job.Came).TotalSeconds);
        using (var a = activities.StartActivity("write", ActivityKind.Internal, default(ActivityContext), startTime: TimeProvider.System.GetUtcNow() - Stopwatch.GetElapsedTime(job.Came)))
            a?.SetTag("fovea.tokens.read", n).SetTag("fovea.tokens.written", w.WrittenTokens).SetTag("fovea.finish", w.Finish.ToString());
        job.Tokens.Writer.TryComplete();
        if (w.Finish == Finish.Failed) job.Done.TrySetException(w.Error!); else job.Done.TrySetResult(w);
    }

    /// <summary>Takes no more requests, and waits for those that are there, but no longer than so.</summary>
    public void Drain(TimeSpan most)
    {
        queue.Writer.TryComplete();
        if (!thread.Join(most)) { stop.Cancel(); thread.Join(); }
    }
    public void Dispose() { stop.Cancel(); queue.Writer.TryComplete(); thread.Join(); stop.Dispose(); }
}

using System.Buffers;
using System.IO.MemoryMappedFiles;
using Microsoft.Win32.SafeHandles;
namespace Fovea.Kernels;

/// <summary>
/// The bytes of a file, read-only and mapped, not copied: the system loads a page when it is touched and may drop it again. The file may be larger than 2 GiB, one slice may not.
/// Slices live as long as the mapping: whoever disposes it sees to it that none is in use. A file that another process shortens meanwhile is beyond help.
/// </summary>
public sealed unsafe class MappedFile : IDisposable
{
    readonly MemoryMappedFile? file;
    readonly MemoryMappedViewAccessor? view;
    byte* start;
    bool open = true;

    MappedFile(string path)
    {
        using SafeFileHandle handle = File.OpenHandle(path, FileMode.Open, FileAccess.Read, FileShare.Read);
        Length = RandomAccess.GetLength(handle);
        if (Length == 0) return;        // nothing to map
        file = MemoryMappedFile.CreateFromFile(path, FileMode.Open, null, 0, MemoryMappedFileAccess.Read);
        view = file.CreateViewAccessor(0, Length, MemoryMappedFileAccess.Read);
        view.SafeMemoryMappedViewHandle.AcquirePointer(ref start);
        start += view.PointerOffset;
    }

    /// <summary>Maps a file; the errors are those of <see cref="File.OpenHandle"/>.</summary>
    public static MappedFile Open(string path) => new(path);

    /// <summary>Bytes in the file when it was opened.</summary>
    public long Length { get; }

    /// <summary>Bytes offset … offset + length − 1, which must lie within the file.</summary>
    public ReadOnlySpan<byte> Slice(long offset, int length) => new(At(offset, length), length);

    /// <summary>The same bytes as something that can be kept in a field.</summary>
    public ReadOnlyMemory<byte> Memory(long offset, int length) { At(offset, length); return new View(this, offset, length).Memory; }

    byte* At(long offset, int length)
    {
        ObjectDisposedException.ThrowIf(!open, this);
        if (offset < 0 || length < 0 || offset > Length - length) throw new ArgumentOutOfRangeException(nameof(offset), $"bytes {offset} to {offset + length} of a file of {Length}");
        return start + offset;
    }

    public void Dispose()
    {
        if (!open) return;
        open = false;
        view?.SafeMemoryMappedViewHandle.ReleasePointer();
        view?.Dispose(); file?.Dispose();
    }

    /// <summary>Memory asks for its span again and again, so that one taken after the end throws.</summary>
    sealed class View(MappedFile file, long offset, int length) : MemoryManager<byte>
    {
        public override Span<byte> GetSpan() => new(file.At(offset, length), length);
        public override MemoryHandle Pin(int elementIndex = 0) => new(file.At(offset, length) + elementIndex);
        public override void Unpin() { }
        protected override void Dispose(bool disposing) { }
    }
}

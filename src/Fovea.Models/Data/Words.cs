namespace Fovea.Models;

/// <summary>A small vocabulary, so that made-up text looks like text.</summary>
static class Words
{
    public static ReadOnlySpan<string> Names => new[] { "Ada", "Bela", "Cleo", "Dora", "Emil", "Finn", "Gita", "Hugo", "Ines", "Jona", "Kaja", "Lars", "Mina", "Nilo", "Olga", "Pavel", "Rosa", "Sven", "Tara", "Yuri" };
    public static ReadOnlySpan<string> Nouns => new[] { "lamp", "river", "window", "horse", "engine", "garden", "stone", "letter", "bridge", "cloud", "table", "mirror", "forest", "clock", "boat", "candle" };
    public static ReadOnlySpan<string> Verbs => new[] { "find", "carry", "paint", "watch", "follow", "repair", "hide", "praise" };
    public static ReadOnlySpan<string> Adjectives => new[] { "old", "green", "quiet", "heavy", "small", "bright", "broken", "distant" };
    public static ReadOnlySpan<string> Places => new[] { "by the sea", "at night", "in the north", "behind the house", "after the rain", "near the station" };
}

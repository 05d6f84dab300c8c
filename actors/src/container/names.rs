//! Names for containers that were given none.

const LEFT: [&str; 32] = [
    "amber", "bold", "brisk", "calm", "clever", "crisp", "deft", "eager", "fair", "fleet", "gentle", "glad",
    "hardy", "jolly", "keen", "kind", "lively", "lucid", "mellow", "merry", "neat", "nimble", "plucky",
    "proud", "quick", "quiet", "sharp", "steady", "sunny", "swift", "tidy", "witty",
];
const RIGHT: [&str; 32] = [
    "abel", "babbage", "banach", "boole", "curie", "dijkstra", "erdos", "euler", "faraday", "fermat",
    "gauss", "germain", "hamming", "hopper", "hypatia", "kepler", "knuth", "lamarr", "lovelace", "maxwell",
    "mendel", "noether", "pascal", "planck", "ritchie", "shannon", "sinclair", "tesla", "turing", "volta",
    "wiles", "wozniak",
];

/// A name from the id's own digits: two words and four digits, which makes a clash a one in some sixty million case.
pub fn random(id: &str) -> String {
    let digit = |at: usize| id.get(at..at + 2).and_then(|d| usize::from_str_radix(d, 16).ok()).unwrap_or(0);
    let word = |list: &[&'static str; 32], at: usize| list.get(digit(at) % 32).copied().unwrap_or("quiet");
    format!("{}_{}_{}", word(&LEFT, 60), word(&RIGHT, 62), id.get(52..56).unwrap_or_default())
}

//! CPU and memory as numbers: `1` is `1000m`, and `1Gi` is `1024Mi`.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Thousandths of a CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Millis(pub u64);

/// Bytes of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Bytes(pub u64);

const KIBI: u64 = 1024;
const MEBIBYTE: u64 = KIBI * KIBI;
const GIBIBYTE: u64 = KIBI * MEBIBYTE;

/// CPU and the least and most memory that goes with it, by Cloud Run's table of container limits.
const SIZES: [(u64, u64, Bytes, Bytes); 7] = [
    (80, 499, Bytes(128 * MEBIBYTE), Bytes(512 * MEBIBYTE)),
    (500, 999, Bytes(128 * MEBIBYTE), Bytes(GIBIBYTE)),
    (1000, 1000, Bytes(128 * MEBIBYTE), Bytes(4 * GIBIBYTE)),
    (2000, 2000, Bytes(128 * MEBIBYTE), Bytes(8 * GIBIBYTE)),
    (4000, 4000, Bytes(2 * GIBIBYTE), Bytes(16 * GIBIBYTE)),
    (6000, 6000, Bytes(4 * GIBIBYTE), Bytes(24 * GIBIBYTE)),
    (8000, 8000, Bytes(4 * GIBIBYTE), Bytes(32 * GIBIBYTE)),
];

/// CPU that goes with a large GPU; with each, 80 GiB of memory at least and 4 GiB for each CPU at most.
const LARGE: [Millis; 6] =
    [Millis(20_000), Millis(22_000), Millis(24_000), Millis(26_000), Millis(28_000), Millis(30_000)];

impl Millis {
    /// Cloud Run's default.
    pub const DEFAULT: Self = Self(1000);

    /// Reads `2`, `0.5`, `500m`. None: it is no amount of CPU.
    pub fn parse(text: &str) -> Option<Self> {
        match text.strip_suffix('m') {
            Some(millis) => millis.parse().ok().map(Self),
            None => thousandths(text).map(Self),
        }
    }
}

impl Bytes {
    /// Cloud Run's default.
    pub const DEFAULT: Self = Self(512 * MEBIBYTE);

    /// Reads `512Mi`, `0.5Gi`, `512M`, and as Cloud Run may tell it, bytes without a unit. None: it is no amount of memory.
    pub fn parse(text: &str) -> Option<Self> {
        const UNITS: [(&str, u64); 7] = [
            ("Ki", KIBI),
            ("Mi", MEBIBYTE),
            ("Gi", GIBIBYTE),
            ("k", 1000),
            ("M", 1_000_000),
            ("G", 1_000_000_000),
            ("", 1),
        ];
        let (number, unit) = UNITS.iter().find_map(|(suffix, unit)| Some((text.strip_suffix(suffix)?, unit)))?;
        Some(Self(thousandths(number)?.checked_mul(*unit)? / 1000))
    }
}

/// A decimal number with at most three places, in thousandths.
fn thousandths(text: &str) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if fraction.len() > 3 || fraction.bytes().any(|b| !b.is_ascii_digit()) {
        return None;
    }
    let fraction: u64 = format!("{fraction:0<3}").parse().ok()?;
    whole.parse::<u64>().ok()?.checked_mul(1000)?.checked_add(fraction)
}

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 % 1000 {
            0 => write!(f, "{}", self.0 / 1000),
            _ => write!(f, "{}m", self.0),
        }
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            bytes if bytes % GIBIBYTE == 0 => write!(f, "{}Gi", bytes / GIBIBYTE),
            bytes if bytes % MEBIBYTE == 0 => write!(f, "{}Mi", bytes / MEBIBYTE),
            bytes if bytes % 1_000_000 == 0 => write!(f, "{}M", bytes / 1_000_000),
            bytes => write!(f, "{bytes}"),
        }
    }
}

/// Why Cloud Run has no container of this size; none: it has.
pub(super) fn misfit(cpu: Option<Millis>, memory: Option<Bytes>, has_gpu: bool) -> Option<String> {
    let (cpu, memory) = (cpu.unwrap_or(Millis::DEFAULT), memory.unwrap_or(Bytes::DEFAULT));
    let size = SIZES.iter().find(|(least, most, ..)| (*least..=*most).contains(&cpu.0));
    let large = LARGE.iter().find(|cpus| has_gpu && **cpus == cpu);
    let large = large.map(|cpus| (Bytes(80 * GIBIBYTE), Bytes(cpus.0 / 1000 * 4 * GIBIBYTE)));
    let Some((least, most)) = size.map(|(.., least, most)| (*least, *most)).or(large) else {
        return Some(format!("cpu {cpu} is none that Cloud Run has: set 80m to 1, or 2, 4, 6 or 8"));
    };
    (!(least..=most).contains(&memory))
        .then(|| format!("memory {memory} does not go with cpu {cpu}: set {least} to {most}, or another cpu"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_amounts_are_equal() {
        assert_eq!(Millis::parse("1"), Millis::parse("1000m"));
        assert_eq!(Millis::parse("0.5"), Millis::parse("500m"));
        assert_eq!(Bytes::parse("1Gi"), Bytes::parse("1024Mi"));
        assert_eq!(Bytes::parse("0.5Gi"), Bytes::parse("512Mi"));
        assert_eq!(Bytes::parse("512M"), Some(Bytes(512_000_000)));
        for bad in ["", "m", "1.2345", "lots"] {
            assert_eq!(Millis::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn what_is_shown_is_read_again() {
        for text in ["500m", "2", "250m"] {
            assert_eq!(Millis::parse(text).map(|cpu| cpu.to_string()).as_deref(), Some(text));
        }
        for text in ["512Mi", "3Gi", "512M"] {
            assert_eq!(Bytes::parse(text).map(|memory| memory.to_string()).as_deref(), Some(text));
        }
    }

    #[test]
    fn sizes_that_cloud_run_does_not_have_are_told() {
        assert_eq!(misfit(None, None, false), None);
        assert_eq!(misfit(Millis::parse("8"), Bytes::parse("32Gi"), false), None);
        assert!(misfit(Millis::parse("3"), None, false).is_some_and(|why| why.contains("cpu 3")));
        assert!(misfit(Millis::parse("4"), None, false).is_some_and(|why| why.contains("2Gi to 16Gi")));
    }
}

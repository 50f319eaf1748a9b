//! One measured figure, as a line that `report` reads.

/// Prints `BENCH name value unit`.
pub(crate) fn line(name: &str, value: impl core::fmt::Display, unit: &str) {
    println!("BENCH {name} {value} {unit}");
}

/// `count` per second of `micros`.
pub(crate) fn per_second(count: u64, micros: u128) -> u128 {
    u128::from(count) * 1_000_000 / micros.max(1)
}

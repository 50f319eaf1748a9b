//! Writes the seeds of every target into `tests/fuzz/corpus/TARGET/`, from which a fuzzer starts.

use std::io;

fn main() -> io::Result<()> {
    for target in foreign::TARGETS {
        let folder = format!(
            "{}/../fuzz/corpus/{}",
            env!("CARGO_MANIFEST_DIR"),
            target.name
        );
        std::fs::create_dir_all(&folder)?;
        for (number, seed) in (target.seeds)().iter().enumerate() {
            std::fs::write(format!("{folder}/seed-{number}"), seed)?;
        }
    }
    Ok(())
}

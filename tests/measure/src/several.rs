//! Server processes over one database of PostgreSQL: one, and two that share it.

use crate::{
    bench::{line, per_second},
    office::Issuer,
    process::{self, Server},
    service::redeem_among,
};
use anyhow::{Context, Result, ensure};
use std::{fs, path::Path, path::PathBuf, time::Instant};
use tempfile::TempDir;

/// How much is measured.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// `tegata-server`, built for speed
    #[arg(long, value_name = "FILE")]
    server: PathBuf,
    /// A new database: `postgres://USER@HOST/NAME`
    #[arg(long, value_name = "URL")]
    database: String,
    /// Rounds; in each, one process has its turn, and two have theirs
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Redemptions of a turn
    #[arg(long, default_value_t = 3_000)]
    redemptions: usize,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let folder = TempDir::new()?;
    let data = folder.path().join("issuer");
    let mut issuer = Issuer::new(&args.server, &data, Some(&args.database))?;
    // another machine has a copy of the folder
    let other = folder.path().join("other");
    copy(&data, &other)?;
    let one = Server::start(&args.server, &data)?;
    line("start_up_ms_pg", one.ready.as_millis(), "ms");
    line("server_idle_mb_pg", one.rss_kib()? / 1_024, "MB");
    let two = Server::start(&args.server, &other)?;
    let both = [one.address, two.address];
    for round in 0..=args.rounds {
        for (name, servers) in [("redeem_pg", &both[..1]), ("redeem_pg_two", &both[..])] {
            let orders = issuer.place(args.redemptions)?;
            let cpu = one.cpu_us()? + two.cpu_us()?;
            let begin = Instant::now();
            let done = redeem_among(&mut issuer, servers, &orders)?;
            let spent = begin.elapsed().as_micros();
            let cpu = one.cpu_us()? + two.cpu_us()? - cpu;
            let all = u64::try_from(args.redemptions)?;
            ensure!(done == all, "{done} of {all} redeemed");
            // what is first done warms up
            if round > 0 {
                line(&format!("{name}_per_s"), per_second(done, spent), "1/s");
                line(&format!("{name}_cpu_us"), cpu / done, "us");
            }
        }
    }
    drop((one, two));
    let folder = data.to_str().context("a folder's name")?;
    process::run(&args.server, &["audit", "--data", folder])?;
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &to)?;
        } else {
            fs::copy(entry.path(), to)?;
        }
    }
    Ok(())
}

//! A full disk under PostgreSQL: callers hear that nothing is known, nothing is half done, and it goes on
//! when there is room again. Root mounts the small disk; whoever is not root sees that it was not run.

#![expect(clippy::unwrap_used, reason = "a test that meets an error is over")]

use std::fs::{self, File};
use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command as Process;
use std::sync::Arc;

use ledger::{Command, Outcome};
use postgres_server::Server;
use store::contract::World;
use store::{SqlStore, StoreError};

/// Room for a server's own files, its log in advance, and a few orders.
const SIZE: &str = "size=112m,mode=1777";

/// Orders until a disk without room must have been noticed.
const ORDERS_MAX: usize = 500;

/// A disk of its own; it goes with this.
struct Disk(PathBuf);

impl Disk {
    /// None where this user may not mount one.
    fn mount(at: PathBuf) -> Option<Self> {
        fs::create_dir(&at).unwrap();
        let mut mount = Process::new("mount");
        let mount = mount.args(["-t", "tmpfs", "-o", SIZE, "tmpfs"]).arg(&at);
        let mounted = mount.output().is_ok_and(|output| output.status.success());
        mounted.then_some(Self(at))
    }

    /// Takes all the room that is left, in one file.
    fn fill(&self) -> PathBuf {
        let path = self.0.join("balloon");
        let mut file = File::create(&path).unwrap();
        for piece in [1 << 20, 1 << 12] {
            while file.write_all(&vec![0xA5; piece]).is_ok() {}
        }
        path
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Process::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[tokio::test]
async fn a_full_disk_under_postgresql_refuses_and_leaves_nothing_half_done() {
    let folder = tempfile::TempDir::new().unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(folder.path(), mode).unwrap();
    let Some(disk) = Disk::mount(folder.path().join("disk")) else {
        println!("not run: a small disk for PostgreSQL needs root");
        return;
    };
    let server = Server::start_in(&disk.0, &["--no-sync"]);
    let store = SqlStore::connect(&server.database()).expect("a new database");
    let world = World::new(Arc::new(store));
    let of = world.funded().await;
    world.placed(&of, 1).await;
    let balloon = disk.fill();
    let mut placed = 1;
    let mut refused = None;
    for _ in 0..ORDERS_MAX {
        let order = world.order(of.sender, of.number, 1);
        let command = Command::PlaceOrder(Box::new(order.clone()));
        match world.store.apply(vec![command]).await {
            Ok(answers) => {
                let remittance = order.remittance;
                assert_eq!(answers, [Ok(Outcome::Placed { remittance })]);
                placed += 1;
            }
            Err(error) => {
                assert!(matches!(error, StoreError::Unavailable { .. }), "{error}");
                assert!(error.to_string().contains("space"), "{error}");
                refused = Some(order);
                break;
            }
        }
    }
    let refused = refused.expect("the disk was full");
    let found = world.store.remittance(refused.remittance).await.unwrap();
    assert_eq!(found, None, "nothing of it is there");
    let in_escrow = 10_000 - world.minor(ledger::Account::Holder(of.sender)).await;
    assert_eq!(in_escrow, placed, "and all that was answered is");
    world.balanced().await;
    fs::remove_file(balloon).unwrap();
    let remittance = refused.remittance;
    let answer = world.place(&refused).await;
    assert_eq!(answer, Ok(Outcome::Placed { remittance }));
    world.balanced().await;
    drop(world);
    drop(server);
}

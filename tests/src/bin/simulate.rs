//! `make simulate SEEDS=n`: plays seeds, tells what went wrong, and how fast it was.

use orchestra_tests::simulation::{Run, run};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::Instant;

/// A third of the time goes into JSON that is made and dropped again.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Plays a seed in a time of its own.
fn play(seed: u64, limit: usize) -> Run {
    let played = std::panic::catch_unwind(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(run(seed, limit))
    });
    played.unwrap_or_else(|_| Run {
        seed,
        steps: 0,
        story: vec![],
        trace: vec![],
        complaint: Some("it panicked".into()),
    })
}

/// The fewest happenings that still go wrong.
fn smallest(failed: Run) -> Run {
    (0..failed.story.len()).map(|limit| play(failed.seed, limit)).find(|run| run.complaint.is_some()).unwrap_or(failed)
}

fn main() {
    let number =
        |name: &str, otherwise: u64| std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(otherwise);
    let (seeds, first) = (number("SEEDS", 200), number("FIRST", 0));
    let next = AtomicU64::new(first);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let (sender, runs) = mpsc::channel();
    let began = Instant::now();
    let (mut steps, mut failed, mut done) = (0, vec![], 0);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            let (sender, next) = (sender.clone(), &next);
            scope.spawn(move || {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + seeds || sender.send(play(seed, usize::MAX)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        for run in &runs {
            done += 1;
            steps += run.steps;
            if run.complaint.is_some() {
                println!("seed {} failed", run.seed);
                failed.push(run);
            }
            if done % 200 == 0 {
                println!("{done} of {seeds} seeds, {} failed, {:.0} s", failed.len(), began.elapsed().as_secs_f64());
            }
        }
    });
    let seconds = began.elapsed().as_secs_f64();
    println!("{done} seeds, {steps} steps in {seconds:.1} s: {:.0} steps/s", steps as f64 / seconds);
    failed.sort_by_key(|run| run.seed);
    let count = failed.len();
    for run in failed.into_iter().take(3).map(smallest) {
        println!("\nseed {} (again: make simulate FIRST={} SEEDS=1)\n{}", run.seed, run.seed, run.story.join("\n"));
        println!("{}", run.complaint.unwrap_or_default());
        if seeds == 1 {
            println!("{}", run.trace.join("\n"));
        }
    }
    if count > 0 {
        std::process::exit(1);
    }
}

//! A short random simulation; `make simulate SEEDS=2000` plays more.

use orchestra_tests::simulation::run;

/// That objects are deleted and applied anew in the middle of a release is among what happens in these stories: it was
/// found in three of 4,000 to leave a release that never ends (A15).
#[tokio::test(start_paused = true)]
async fn a15_seeds_end_well() {
    let mut steps = 0;
    for seed in 0..100 {
        let run = run(seed, usize::MAX).await;
        assert_eq!(run.complaint, None, "make simulate FIRST={seed} SEEDS=1\n{}", run.story.join("\n"));
        steps += run.steps;
    }
    orchestra_tests::tell(&format!("100 seeds, {steps} steps"));
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_tells_the_same_story() {
    let (one, other) = (run(7, usize::MAX).await, run(7, usize::MAX).await);
    assert_eq!((one.story, one.trace), (other.story, other.trace));
}

//! The buckets of a distribution of latencies: by their upper bounds.

use google_cloud_api::model::Distribution;
use google_cloud_api::model::distribution::bucket_options::Options;
use orchestra_planner::cloud::Tally;

/// More buckets than any metric of Cloud Run's has: an answer with more is none of theirs.
const MOST: usize = 1_000;

/// Adds a distribution of milliseconds to a tally of microseconds. Buckets of bounds that can't be read count as slower
/// than all: they are never taken for fast.
pub(super) fn add(tally: &mut Tally, distribution: &Distribution) {
    let options = distribution.bucket_options.as_ref().and_then(|options| options.options.as_ref());
    for (index, values) in distribution.bucket_counts.iter().take(MOST).enumerate() {
        let bound = options.and_then(|options| upper_bound(options, index));
        tally.add(bound.map_or(i64::MAX, micros), *values);
    }
}

/// Adds looks at instances: a bucket that begins at a bound or above is of bad ones. None: the bounds can't be read.
pub(super) fn add_looks(tally: &mut Tally, distribution: &Distribution, bad_from: f64) -> Option<()> {
    let options = distribution.bucket_options.as_ref().and_then(|options| options.options.as_ref());
    for (index, looks) in distribution.bucket_counts.iter().take(MOST).enumerate().filter(|(_, looks)| **looks > 0) {
        let begins = match index.checked_sub(1) {
            Some(before) => upper_bound(options?, before)?,
            None => f64::NEG_INFINITY,
        };
        // Bounds are sums and powers: none is exact.
        tally.add(i64::from(begins >= bad_from - 1e-9), *looks);
    }
    Some(())
}

/// Where a bucket ends, in its unit. Bucket 0 is below the first bound, the last one above the last.
fn upper_bound(options: &Options, index: usize) -> Option<f64> {
    let power = i32::try_from(index).ok()?;
    let bound = match options {
        Options::LinearBuckets(linear) if power <= linear.num_finite_buckets => {
            linear.offset + linear.width * f64::from(power)
        }
        Options::ExponentialBuckets(grows) if power <= grows.num_finite_buckets => {
            grows.scale * grows.growth_factor.powi(power)
        }
        Options::ExplicitBuckets(explicit) => *explicit.bounds.get(index)?,
        _ => return None,
    };
    Some(bound).filter(|bound| bound.is_finite())
}

fn micros(milliseconds: f64) -> i64 {
    (milliseconds * 1_000.0).round() as i64
}

#[cfg(test)]
mod tests {
    use super::*;
    use google_cloud_api::model::distribution::BucketOptions;
    use google_cloud_api::model::distribution::bucket_options::{Explicit, Exponential, Linear};

    fn bounds(options: Options) -> Vec<i64> {
        let options = BucketOptions::new().set_options(Some(options));
        let mut tally = Tally::default();
        add(&mut tally, &Distribution::new().set_bucket_options(options).set_bucket_counts([1, 1, 1, 1]));
        tally.0.into_keys().collect()
    }

    #[test]
    fn each_way_to_give_bounds_is_read() {
        let grows = Exponential::new().set_num_finite_buckets(2).set_growth_factor(2.0).set_scale(5.0);
        assert_eq!(bounds(Options::ExponentialBuckets(Box::new(grows))), [5_000, 10_000, 20_000, i64::MAX]);
        let linear = Linear::new().set_num_finite_buckets(2).set_width(10.0).set_offset(5.0);
        assert_eq!(bounds(Options::LinearBuckets(Box::new(linear))), [5_000, 15_000, 25_000, i64::MAX]);
        let explicit = Explicit::new().set_bounds([1.0, 2.5, 100.0]);
        assert_eq!(bounds(Options::ExplicitBuckets(Box::new(explicit))), [1_000, 2_500, 100_000, i64::MAX]);
    }

    #[test]
    fn a_look_is_bad_where_its_bucket_begins_at_the_bound() {
        let tenths = Linear::new().set_num_finite_buckets(10).set_width(0.1).set_offset(0.0);
        let options = BucketOptions::new().set_options(Some(Options::LinearBuckets(Box::new(tenths))));
        let mut looks = Distribution::new().set_bucket_options(options);
        // Below 0, in each tenth, and above 1.
        looks = looks.set_bucket_counts([0, 0, 0, 0, 0, 5, 0, 0, 0, 3, 2, 1]);
        let mut tally = Tally::default();
        assert_eq!(add_looks(&mut tally, &looks, 0.9), Some(()));
        assert_eq!((tally.above(0).total, tally.above(0).bad), (11, 3));
        let unknown = Distribution::new().set_bucket_counts([0, 4]);
        assert_eq!(add_looks(&mut Tally::default(), &unknown, 0.9), None);
    }

    #[test]
    fn without_bounds_nothing_is_fast() {
        let mut tally = Tally::default();
        add(&mut tally, &Distribution::new().set_bucket_counts([3, 4]));
        assert_eq!(tally.above(1_000_000).bad, 7);
    }
}

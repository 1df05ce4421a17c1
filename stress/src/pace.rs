//! How often the control side does something.

use std::time::{Duration, Instant};

/// The longest nap: the run may be over after it.
const NAP: Duration = Duration::from_millis(5);

/// A rate to keep to. Behind it, what was missed is made up for.
pub struct Pace {
    rate: f64,
    began: Instant,
    done: f64,
}

impl Pace {
    /// So many times a second; 0 for never.
    pub fn new(per_second: u32) -> Self {
        Self { rate: f64::from(per_second), began: Instant::now(), done: 0.0 }
    }

    /// Whether it is time for one more; if not, naps.
    pub fn is_due(&self) -> bool {
        let ahead = self.done - self.began.elapsed().as_secs_f64() * self.rate;
        if ahead > 0.0 || self.rate == 0.0 {
            let pause = if self.rate > 0.0 { ahead / self.rate } else { f64::MAX };
            std::thread::sleep(Duration::from_secs_f64(pause.min(NAP.as_secs_f64())));
            return false;
        }
        true
    }

    /// Notes that it was done once.
    pub fn note(&mut self) {
        self.done += 1.0;
    }
}

//! The simulated reactor does what every reactor must do.

use asyncio_reactor::conformance;
use asyncio_sim::SimReactor;

#[test]
fn it_conforms() {
    let seed = std::cell::Cell::new(0);
    conformance::reactor(|| {
        seed.set(seed.get() + 1);
        Ok(SimReactor::in_real_time(seed.get()))
    });
}

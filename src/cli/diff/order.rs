//! The fewest moves that bring a list into another order, with the index of each at its turn.

/// One element that comes to a place.
#[derive(Debug, PartialEq, Eq)]
pub struct Step {
    /// Its index in the new list.
    pub new: usize,
    /// Where it is taken from; a new element comes from nowhere.
    pub from: Option<usize>,
    /// Where it goes, once it is taken out.
    pub to: usize,
}

/// The steps, and where each new element stands after all of them.
#[derive(Debug)]
pub struct Steps {
    pub steps: Vec<Step>,
    pub places: Vec<usize>,
}

/// From the old list without what is `gone` to the new one, of which `partners` tells where each element was. With `stay`
/// what was there stays in its order.
pub fn steps(gone: &[bool], partners: &[Option<usize>], stay: bool) -> Steps {
    let stays = if stay {
        partners.iter().map(Option::is_some).collect()
    } else {
        longest_rise(partners)
    };
    // All places that are ever taken, in order: those behind an element that stays are for what follows it in the new list.
    let mut followers = vec![Vec::new(); gone.len()];
    let (mut first, mut anchor) = (Vec::new(), None);
    for (new, partner) in partners.iter().enumerate() {
        match (partner, stays[new], anchor) {
            (Some(old), true, _) => anchor = Some(*old),
            (_, _, None) => first.push(new),
            (_, _, Some(old)) => followers[old].push(new),
        }
    }
    let (mut old_slots, mut new_slots) = (vec![0; gone.len()], vec![0; partners.len()]);
    let mut slots = 0;
    let mut next = || {
        slots += 1;
        slots - 1
    };
    for new in first {
        new_slots[new] = next();
    }
    for (old, followers) in followers.into_iter().enumerate() {
        if !gone[old] {
            old_slots[old] = next();
        }
        for new in followers {
            new_slots[new] = next();
        }
    }
    let mut taken = Taken::new(slots);
    for (old, slot) in old_slots.iter().enumerate() {
        if !gone[old] {
            taken.set(*slot, true);
        }
    }
    let mut steps = Vec::new();
    for (new, partner) in partners.iter().enumerate() {
        if let (Some(old), true) = (partner, stays[new]) {
            new_slots[new] = old_slots[*old];
            continue;
        }
        let from = partner.map(|old| {
            let slot = old_slots[old];
            taken.set(slot, false);
            taken.before(slot)
        });
        let to = taken.before(new_slots[new]);
        taken.set(new_slots[new], true);
        steps.push(Step { new, from, to });
    }
    let places = new_slots.iter().map(|slot| taken.before(*slot)).collect();
    Steps { steps, places }
}

/// Which elements keep their order, as many as can.
fn longest_rise(partners: &[Option<usize>]) -> Vec<bool> {
    let mut ends: Vec<usize> = Vec::new();
    let mut before = vec![None; partners.len()];
    for (new, partner) in partners.iter().enumerate() {
        if partner.is_none() {
            continue;
        }
        let length = ends.partition_point(|end| partners[*end] < *partner);
        before[new] = length.checked_sub(1).map(|shorter| ends[shorter]);
        if length == ends.len() {
            ends.push(new);
        } else {
            ends[length] = new;
        }
    }
    let mut stays = vec![false; partners.len()];
    let mut at = ends.last().copied();
    while let Some(new) = at {
        stays[new] = true;
        at = before[new];
    }
    stays
}

/// Which places are taken, and how many before one: a Fenwick tree.
struct Taken(Vec<usize>);

impl Taken {
    fn new(places: usize) -> Self {
        Self(vec![0; places + 1])
    }

    fn set(&mut self, place: usize, taken: bool) {
        let mut node = place + 1;
        while let Some(count) = self.0.get_mut(node) {
            *count = if taken { *count + 1 } else { *count - 1 };
            node += node & node.wrapping_neg();
        }
    }

    fn before(&self, place: usize) -> usize {
        let (mut node, mut count) = (place, 0);
        while node > 0 {
            count += self.0[node];
            node &= node - 1;
        }
        count
    }
}

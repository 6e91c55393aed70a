//! What the protocols over ttrpc share: calls, streams, status, reference peers and probes.

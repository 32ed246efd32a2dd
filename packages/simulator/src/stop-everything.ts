/** For what may never fail: that it did is a mistake in the simulation, and nobody may overlook it. */
export function stopEverything(error: unknown): never {
  throw error
}

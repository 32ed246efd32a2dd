import type { Environment } from '@coracle/raft-core'

export interface StagedTime extends Environment {
  advance(ms: number): void
}

/** Time that stands still until it is told to go on. */
export function stagedTime(): StagedTime {
  const beats = new Map<object, { intervalMs: number; next: number; beat: () => void }>()
  let now = 0
  return {
    now: () => now,
    random: () => 0.5,
    schedule: (turn) => queueMicrotask(turn),
    every(intervalMs, beat) {
      const id = {}
      beats.set(id, { intervalMs, next: now + intervalMs, beat })
      return () => beats.delete(id)
    },
    advance(ms) {
      now += ms
      for (const timer of beats.values()) {
        if (timer.next > now) continue
        timer.next = now + timer.intervalMs
        timer.beat()
      }
    },
  }
}

import { describe, expect, test } from 'vitest'
import { changeOptions, type NodeOptions, resolveOptions } from '../src/options.ts'

const defaults = resolveOptions({})

describe('options', () => {
  test.each<[Partial<Record<keyof NodeOptions, unknown>>, RegExp]>([
    [{ electionTicks: 0 }, /^electionTicks/],
    [{ electionTicks: 1.5 }, /^electionTicks/],
    [{ keepEntries: -1 }, /^keepEntries/],
    [{ maxPendingReads: Number.NaN }, /^maxPendingReads/],
    [{ maxPendingMessages: '7' }, /^maxPendingMessages/],
    [{ heartbeatTicks: 10 }, /^heartbeatTicks/],
    [{ preVote: 1 }, /^preVote/],
    [{ reads: 'stale' }, /^reads/],
    [{ reads: true }, /^reads/],
    [{ maxClockDrift: 1 }, /^maxClockDrift/],
    [{ maxClockDrift: -0.1 }, /^maxClockDrift/],
    [{ maxClockDrift: Number.NaN }, /^maxClockDrift/],
    [{ reads: 'lease', checkQuorum: false }, /needs preVote and checkQuorum/],
    [{ reads: 'lease', preVote: false }, /needs preVote and checkQuorum/],
  ])('%j is refused by name', (options, message) => {
    expect(() => resolveOptions(options as Partial<NodeOptions>)).toThrow(RangeError)
    expect(() => resolveOptions(options as Partial<NodeOptions>)).toThrow(message)
  })

  test('what is left out, or undefined, has its default', () => {
    expect(resolveOptions({ tickMs: undefined } as never)).toEqual(defaults)
  })

  test('a change leaves the rest as it was', () => {
    const current = resolveOptions({ electionTicks: 30, keepEntries: 0 })
    const next = changeOptions(current, { heartbeatTicks: 3, tickMs: undefined } as never)
    expect(next).toEqual({ ...current, heartbeatTicks: 3 })
    expect(current.heartbeatTicks).toBe(1)
  })

  test.each<[Record<string, unknown>, RegExp]>([
    [{ heartbeatTicks: 30 }, /heartbeatTicks/],
    [{ electionTicks: 0 }, /electionTicks/],
    [{ preVote: false }, /preVote cannot change/],
    [{ checkQuorum: false }, /checkQuorum cannot change/],
    [{ reads: 'lease' }, /reads cannot change/],
    [{ storage: {} }, /no option storage/],
  ])('a change to %j is refused', (changes, message) => {
    expect(() => changeOptions(defaults, changes)).toThrow(RangeError)
    expect(() => changeOptions(defaults, changes)).toThrow(message)
  })

  test('what leases are measured by stays while there are leases', () => {
    const leases = resolveOptions({ reads: 'lease' })
    for (const changes of [{ electionTicks: 9 }, { tickMs: 50 }, { maxClockDrift: 0 }])
      expect(() => changeOptions(leases, changes)).toThrow(/cannot change/)
    expect(changeOptions(leases, { electionTicks: 10, heartbeatTicks: 2 }).heartbeatTicks).toBe(2)
  })
})

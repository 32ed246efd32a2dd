import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { simulate } from '../src/index.ts'

async function violationOf(seed: number): Promise<string | null> {
  const { violation, story } = await simulate({ seed })
  if (violation === null) return null
  return [...story, `${violation.property}: ${violation.why}`, `pnpm sim --seed ${seed}`].join('\n')
}

describe('a simulation is a function of its seed', () => {
  test.each([1, 2])('seed %i twice: every event and every message is the same', async (seed) => {
    const first = await simulate({ seed })
    const second = await simulate({ seed })
    expect(second.fingerprint).toBe(first.fingerprint)
    expect(second).toEqual(first)
  })

  test('another seed is another run', async () => {
    const prints = await Promise.all([11, 12, 13].map((seed) => simulate({ seed })))
    expect(new Set(prints.map(({ fingerprint }) => fingerprint)).size).toBe(3)
  })

  test('a seed is a whole number', async () => {
    await expect(simulate({ seed: 1.5 })).rejects.toThrow(RangeError)
    await expect(simulate({ seed: -1 })).rejects.toThrow(RangeError)
  })
})

describe('no rule of Raft is broken, and a healthy majority serves', () => {
  // A few of each kind: `pnpm sim --seeds 500` is where the numbers are.
  test.each([100, 101, 102, 103, 104, 105, 106, 107, 108, 109, 110, 111])(
    'seed %i',
    async (seed) => {
      expect(await violationOf(seed)).toBeNull()
    },
  )

  test('a quorum is lost for good: what one node has left is a cluster again', async () => {
    const { violation, plan, coverage } = await simulate({ seed: 1 })
    expect(plan.losesQuorum).toBe(true)
    expect(coverage['fault: cluster recovered']).toBe(1)
    expect(violation).toBeNull()
  })

  test('old and new nodes together', async () => {
    const { violation, coverage } = await simulate({ seed: 3 })
    expect(coverage['fault: node of a later version']).toBeGreaterThan(0)
    expect(coverage['fault: message of an unknown type']).toBeGreaterThan(0)
    expect(violation).toBeNull()
  })
})

describe('a story tells what was done to a cluster', () => {
  /** Which line there is for a fault, at least as often as the fault. */
  const TOLD = [
    ['fault: crash', ' loses its power'],
    ['fault: event loop stalled', ' stands still for '],
    ['fault: leader stranded', ' is cut off from all others'],
    ['fault: options changed', ' is given other options: {'],
    ['fault: write stalled', ': write stalled'],
    ['fault: bit rot', ': bit rot'],
  ] as const

  test.each(TOLD)('%s', async (fault, words) => {
    for (let seed = 1; ; seed++) {
      const { coverage, story } = await simulate({ seed, storyLines: 1_000_000 })
      const times = coverage[fault] ?? 0
      if (times === 0) continue
      expect(story.filter((line) => line.includes(words)).length).toBeGreaterThanOrEqual(times)
      break
    }
  })
})

describe('bugs that were found stay fixed', () => {
  const path = new URL('regressions.txt', import.meta.url)
  const lines = readFileSync(path, 'utf8').split('\n')
  for (const line of lines.filter((text) => /^\d/.test(text))) {
    const [seed, ...story] = line.split(' ')
    test(`${seed} ${story.join(' ')}`, async () => {
      expect(await violationOf(Number(seed))).toBeNull()
    })
  }
})

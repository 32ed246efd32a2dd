import type { Model } from '@coracle/linearizability'
import type { Command } from '@coracle/raft-core'
import { describe, expect, test } from 'vitest'
import { simulate, type TestedMachine, type Workload } from '../src/index.ts'

/** A counter that anybody may increase. Answers with what it was before. */
class Counter implements TestedMachine<'increase' | 'read', number> {
  readonly durableIndex = 0
  count = 0

  apply(commands: readonly Command[]): readonly number[] {
    return commands.map(() => this.count++)
  }

  query(): number {
    return this.count
  }

  async *#chunks(count: number): AsyncGenerator<Uint8Array> {
    yield new TextEncoder().encode(`${count}`)
  }

  snapshot(): AsyncIterable<Uint8Array> {
    return this.#chunks(this.count)
  }

  async restore(chunks: AsyncIterable<Uint8Array>): Promise<void> {
    let text = ''
    for await (const chunk of chunks) text += new TextDecoder().decode(chunk)
    this.count = this.restored(Number(text))
  }

  restored(count: number): number {
    return count
  }
}

const counting: Model<number, 'increase' | 'read', number> = {
  initial: 0,
  step: (state, input, output) =>
    output === undefined || output === state
      ? { state: input === 'increase' ? state + 1 : state }
      : null,
  identify: (state) => `${state}`,
}

const workloadOf = (open: () => Counter): Workload<'increase' | 'read', number> => ({
  open,
  draw: (random, load) => (random.chance(load.reads) ? 'read' : 'increase'),
  isRead: (input) => input === 'read',
  encode: () => new Uint8Array(0),
  model: counting,
})

/** The first seed that breaks a rule, and which; null if none does. */
async function firstViolation(
  workload: Workload<'increase' | 'read', number>,
): Promise<{ seed: number; property: string } | null> {
  for (let seed = 1; seed <= 5; seed++) {
    const { violation } = await simulate({ seed, workload, storyLines: 0 })
    if (violation !== null) return { seed, property: violation.property }
  }
  return null
}

describe('a state machine of your own', () => {
  test('that is right, holds', async () => {
    expect(await firstViolation(workloadOf(() => new Counter()))).toBeNull()
  })

  test('that restores a snapshot to another state, is found', async () => {
    class Forgetful extends Counter {
      override restored(count: number): number {
        return count > 0 ? count - 1 : 0
      }
    }
    expect(await firstViolation(workloadOf(() => new Forgetful()))).toMatchObject({
      property: 'state machine safety',
    })
  })

  test('that answers by chance, is found', async () => {
    let calls = 0
    class Random extends Counter {
      override apply(commands: readonly Command[]): readonly number[] {
        return super.apply(commands).map((count) => (++calls % 50 === 0 ? -1 : count))
      }
    }
    expect(await firstViolation(workloadOf(() => new Random()))).not.toBeNull()
  })

  test('that is in another state than it says, is found by its digest', async () => {
    class Drifting extends Counter {
      calls = 0

      override apply(commands: readonly Command[]): readonly number[] {
        this.calls += 1
        return super.apply(commands)
      }

      digest(): string {
        return `${this.calls}`
      }
    }
    expect(await firstViolation(workloadOf(() => new Drifting()))).toMatchObject({
      property: 'state machine safety',
    })
  })

  test('that does not live in memory, is refused', async () => {
    class Durable extends Counter {
      override readonly durableIndex = 1 as 0
    }
    const workload = workloadOf(() => new Durable())
    await expect(simulate({ seed: 1, workload })).rejects.toThrow(TypeError)
  })
})

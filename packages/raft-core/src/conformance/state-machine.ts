import type { Command, StateMachine } from '../contracts/state-machine.ts'
import { check, checkEqual, collect, seededBytes, type TestFunction } from './check.ts'

/** What the suite needs to know of a state machine. */
export interface StateMachineConformance<Result> {
  /** Registers a test: vitest's `test`, that of `node:test`, or any other of this shape. */
  readonly test: TestFunction
  /** Makes a machine to which nothing was ever applied. */
  readonly create: () => StateMachine<Result> | Promise<StateMachine<Result>>
  /**
   * The data of at least twelve commands, in an order that makes sense. Results should depend on
   * what came before, for states are compared by how they answer; a few that fail belong to them.
   */
  readonly commands: readonly Uint8Array[]
  /** What else can be seen of a state, to be compared value by value. */
  readonly observe?: (machine: StateMachine<Result>) => unknown
}

/**
 * Registers one test per sentence of the contract of {@link StateMachine}. Whatever passes them all
 * can be handed to a node.
 *
 * @example
 * stateMachineConformance({
 *   test,
 *   create: () => myStateMachine(),
 *   commands: ['add 1', 'add 2', 'reset'].map((text) => new TextEncoder().encode(text)),
 * })
 */
export function stateMachineConformance<Result>(suite: StateMachineConformance<Result>): void {
  if (suite.commands.length < LEAST_COMMANDS) {
    throw new RangeError(`${suite.commands.length} commands do not show much`)
  }
  const bench = benchOf(suite)
  applyTests(suite.test, bench)
  snapshotTests(suite.test, bench)
  restoreTests(suite.test, bench)
}

const LEAST_COMMANDS = 12

/** The machines and commands of a test, and how to tell two states apart. */
interface Bench {
  readonly commands: readonly Command[]
  readonly half: number
  create(): Promise<Machine>
  /** A machine with the first `count` commands applied, one at a time. */
  after(count: number): Promise<Machine>
  /** Throws unless both answer alike, now and to whatever comes from `from` on. */
  checkAlike(actual: Machine, expected: Machine, from: number): Promise<void>
}

type Machine = StateMachine

function benchOf<Result>(suite: StateMachineConformance<Result>): Bench {
  const commands = suite.commands.map((data, at) => ({ index: at + 1, term: 1, data }))
  const create = async (): Promise<StateMachine<Result>> => suite.create()
  const observe = (machine: Machine): unknown =>
    suite.observe?.(machine as StateMachine<Result>) ?? null
  return {
    commands,
    half: commands.length >> 1,
    create,
    after: async (count) => {
      const machine = await create()
      await applyEach(machine, commands.slice(0, count))
      return machine
    },
    checkAlike: async (actual, expected, from) => {
      checkEqual(observe(actual), observe(expected), 'what can be seen of the state')
      const rest = commands.slice(from)
      const results = await applyEach(actual, [...rest, ...commands])
      checkEqual(results, await applyEach(expected, [...rest, ...commands]), 'later results')
      checkEqual(observe(actual), observe(expected), 'what can be seen of the state afterwards')
    },
  }
}

function applyTests(test: TestFunction, bench: Bench): void {
  const { commands } = bench

  test('the durable index of a machine that nothing was applied to is 0', async () => {
    checkEqual((await bench.create()).durableIndex, 0, 'the durable index')
  })

  test('applies committed commands in order and answers each of them, at the same place of the array', async () => {
    const machine = await bench.create()
    const together = await machine.apply(commands)
    checkEqual(together.length, commands.length, 'the number of results')
    const alone = await applyEach(await bench.create(), commands)
    checkEqual(together, alone, 'the results')
  })

  test('how commands are grouped into calls must not matter', async () => {
    const expected = await applyEach(await bench.create(), commands)
    for (const size of [2, 3, 5, commands.length]) {
      const machine = await bench.create()
      const results: unknown[] = []
      for (let at = 0; at < commands.length; at += size) {
        results.push(...(await machine.apply(commands.slice(at, at + size))))
      }
      checkEqual(results, expected, `the results in groups of ${size}`)
      await bench.checkAlike(machine, await bench.after(commands.length), commands.length)
    }
  })

  test('a call without commands has no results and changes nothing', async () => {
    const machine = await bench.after(bench.half)
    checkEqual(await machine.apply([]), [], 'the results')
    await bench.checkAlike(machine, await bench.after(bench.half), bench.half)
  })

  test('the same commands in the same order give the same state and the same results on every node', async () => {
    const a = await bench.create()
    const b = await bench.create()
    checkEqual(await applyEach(a, commands), await applyEach(b, commands), 'the results')
    await bench.checkAlike(a, b, commands.length)
  })

  test('machines share nothing', async () => {
    const a = await bench.after(bench.half)
    await bench.after(commands.length)
    await bench.checkAlike(a, await bench.after(bench.half), bench.half)
  })

  test('a command that cannot be carried out has a result that says so', async () => {
    const a = await bench.after(bench.half)
    const b = await bench.after(bench.half)
    for (const length of [0, 1, 2, 64]) {
      const command = { index: 1, term: 1, data: seededBytes(length, length) }
      const results = await a.apply([command])
      checkEqual(results.length, 1, 'the number of results')
      checkEqual(results, await b.apply([command]), 'the result')
    }
    await bench.checkAlike(a, b, bench.half)
  })

  test('commands are left as they were', async () => {
    const copies = commands.map((command) => command.data.slice())
    await bench.after(commands.length)
    checkEqual(
      commands.map((command) => command.data),
      copies,
      'the data',
    )
  })
}

function snapshotTests(test: TestFunction, bench: Bench): void {
  const { commands, half } = bench

  test('the state as of the last apply, whatever is applied later', async () => {
    const machine = await bench.after(half)
    const snapshot = machine.snapshot()
    await applyEach(machine, commands.slice(half))
    await bench.checkAlike(await restored(bench, snapshot), await bench.after(half), half)
  })

  test('the chunks of a snapshot may be read while later commands are applied', async () => {
    const machine = await bench.after(half)
    const rest = commands.slice(half)
    const chunks: Uint8Array[] = []
    for await (const chunk of machine.snapshot()) {
      chunks.push(chunk)
      await machine.apply(rest.splice(0, 1))
    }
    await applyEach(machine, rest)
    await bench.checkAlike(await restored(bench, stream(chunks)), await bench.after(half), half)
    await bench.checkAlike(machine, await bench.after(commands.length), commands.length)
  })

  test('the chunks that were read are not written to again', async () => {
    const machine = await bench.after(half)
    const kept: Uint8Array[] = []
    const copies: Uint8Array[] = []
    for await (const chunk of machine.snapshot()) {
      kept.push(chunk)
      copies.push(chunk.slice())
    }
    await applyEach(machine, commands.slice(half))
    checkEqual(kept, copies, 'the chunks')
  })

  test('taking it must not block: the work is done not at all if the chunks never are read', async () => {
    const machine = await bench.after(half)
    const snapshot = machine.snapshot()
    check(Symbol.asyncIterator in snapshot, 'a snapshot is there at once, not in a promise')
    await bench.checkAlike(machine, await bench.after(half), half)
  })

  test('reading may stop half way', async () => {
    const machine = await bench.after(half)
    for await (const chunk of machine.snapshot()) {
      check(chunk instanceof Uint8Array, 'a chunk is bytes')
      break
    }
    await bench.checkAlike(machine, await bench.after(half), half)
  })

  test('snapshots of different moments can be read in any order', async () => {
    const machine = await bench.after(half)
    const early = machine.snapshot()
    await applyEach(machine, commands.slice(half))
    const late = machine.snapshot()
    const { length } = commands
    await bench.checkAlike(await restored(bench, late), await bench.after(length), length)
    await bench.checkAlike(await restored(bench, early), await bench.after(half), half)
  })
}

function restoreTests(test: TestFunction, bench: Bench): void {
  const { commands, half } = bench

  test('becomes exactly the state that was snapshotted, whatever it was before', async () => {
    const snapshot = await collect((await bench.after(half)).snapshot())
    for (const count of [0, 1, half, commands.length]) {
      const machine = await bench.after(count)
      await machine.restore(stream([snapshot]))
      await bench.checkAlike(machine, await bench.after(half), half)
    }
  })

  test('the state of a machine that nothing was applied to can be restored too', async () => {
    const snapshot = await collect((await bench.create()).snapshot())
    const machine = await bench.after(commands.length)
    await machine.restore(stream([snapshot]))
    await bench.checkAlike(machine, await bench.create(), 0)
  })

  test('chunks may be cut anywhere', async () => {
    const snapshot = await collect((await bench.after(half)).snapshot())
    for (const size of [1, 2, 3, 7, 64, snapshot.byteLength]) {
      const machine = await restored(bench, stream(cut(snapshot, size)))
      await bench.checkAlike(machine, await bench.after(half), half)
    }
  })

  test('chunks may be empty', async () => {
    const snapshot = await collect((await bench.after(half)).snapshot())
    const chunks = cut(snapshot, 5).flatMap((chunk) => [new Uint8Array(0), chunk])
    const machine = await restored(bench, stream([...chunks, new Uint8Array(0)]))
    await bench.checkAlike(machine, await bench.after(half), half)
  })

  test('what was restored can be snapshotted again', async () => {
    const first = await restored(bench, (await bench.after(half)).snapshot())
    const second = await restored(bench, first.snapshot())
    await bench.checkAlike(second, await bench.after(half), half)
  })

  test('a snapshot taken before a restore is still that of its moment', async () => {
    const machine = await bench.after(half)
    const snapshot = machine.snapshot()
    await machine.restore((await bench.create()).snapshot())
    await bench.checkAlike(await restored(bench, snapshot), await bench.after(half), half)
  })
}

async function restored(bench: Bench, chunks: AsyncIterable<Uint8Array>): Promise<Machine> {
  const machine = await bench.create()
  await machine.restore(chunks)
  return machine
}

async function applyEach(machine: Machine, commands: readonly Command[]): Promise<unknown[]> {
  const results: unknown[] = []
  for (const command of commands) results.push(...(await machine.apply([command])))
  return results
}

async function* stream(chunks: readonly Uint8Array[]): AsyncGenerator<Uint8Array, void, undefined> {
  for (const chunk of chunks) yield await Promise.resolve(chunk)
}

function cut(bytes: Uint8Array, size: number): Uint8Array[] {
  const chunks: Uint8Array[] = []
  for (let at = 0; at < bytes.byteLength; at += size) chunks.push(bytes.subarray(at, at + size))
  return chunks
}

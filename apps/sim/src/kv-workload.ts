import { keyValue, type KeyValueInput, type KeyValueOutput } from '@coracle/linearizability'
import {
  type Compare,
  encodeCommand,
  type KvCommand,
  type KvFailure,
  type KvResult,
  kvStateMachine,
  type Operation,
  type RangeRequest,
  type RangeResult,
} from '@coracle/kv-state-machine'
import { drawKeyValue, type TestedMachine, type Workload } from '@coracle/simulator'

const encoder = new TextEncoder()
const decoder = new TextDecoder()
const NO_BYTES = new Uint8Array(0)

/**
 * The state machine of the server, asked for puts, deletions, transactions and reads of a few keys.
 * Each answer tells the value that was there before.
 */
export function kvWorkload(): Workload<KeyValueInput, KeyValueOutput> {
  return {
    open: () => new KvSubject(),
    draw(random, load, number) {
      const input = drawKeyValue(random, load, number)
      // There is no such command in etcd's words.
      return input.type === 'append' ? { ...input, type: 'put' } : input
    },
    isRead: ({ type }) => type === 'get',
    encode: (input) => encodeCommand(commandOf(input)),
    model: keyValue(),
  }
}

class KvSubject implements TestedMachine<KeyValueInput, KeyValueOutput> {
  readonly #machine = kvStateMachine({ sweepAtOnce: 2, sweepPerCommand: 1 })
  readonly durableIndex = this.#machine.durableIndex

  apply(
    commands: Parameters<TestedMachine<KeyValueInput, KeyValueOutput>['apply']>[0],
  ): readonly KeyValueOutput[] {
    return this.#machine.apply(commands).map(outputOf)
  }

  query({ key }: KeyValueInput): KeyValueOutput {
    return outputOf(this.#machine.range(rangeOf(key)))
  }

  digest(): string {
    return this.#machine.hash().toString(16)
  }

  snapshot(): AsyncIterable<Uint8Array> {
    return this.#machine.snapshot()
  }

  restore(chunks: AsyncIterable<Uint8Array>): Promise<void> {
    return this.#machine.restore(chunks)
  }
}

function commandOf(input: KeyValueInput): KvCommand {
  const key = encoder.encode(input.key)
  switch (input.type) {
    case 'put':
    case 'append':
      return { type: 'put', request: putOf(key, input.value) }
    case 'delete':
      return { type: 'delete-range', request: { key, rangeEnd: NO_BYTES, prevKv: true } }
    case 'get':
    case 'compare-and-set': {
      const read: Operation = { type: 'range', request: rangeOf(input.key) }
      if (input.type === 'get')
        return { type: 'txn', request: { compare: [], success: [read], failure: [] } }
      const write: Operation = { type: 'put', request: putOf(key, input.to) }
      const compare = [holds(key, input.from)]
      return { type: 'txn', request: { compare, success: [read, write], failure: [read] } }
    }
  }
}

function putOf(key: Uint8Array, value: string) {
  return {
    key,
    value: encoder.encode(value),
    lease: 0n,
    prevKv: true,
    ignoreValue: false,
    ignoreLease: false,
  } as const
}

function holds(key: Uint8Array, value: string | null): Compare {
  return value === null
    ? { key, rangeEnd: NO_BYTES, operator: 'equal', target: { type: 'version', value: 0 } }
    : {
        key,
        rangeEnd: NO_BYTES,
        operator: 'equal',
        target: { type: 'value', value: encoder.encode(value) },
      }
}

function rangeOf(key: string): RangeRequest {
  return {
    key: encoder.encode(key),
    rangeEnd: NO_BYTES,
    limit: 0,
    revision: 0,
    sortOrder: 'none',
    sortTarget: 'key',
    keysOnly: false,
    countOnly: false,
    minModRevision: 0,
    maxModRevision: 0,
    minCreateRevision: 0,
    maxCreateRevision: 0,
  }
}

/** The value that was found. */
function outputOf(result: KvResult | RangeResult | KvFailure): KeyValueOutput {
  if (result.type === 'put') return textOf(result.prevKv?.value)
  if (result.type === 'delete-range') return textOf(result.prevKvs[0]?.value)
  if (result.type === 'range') return textOf(result.kvs[0]?.value)
  if (result.type !== 'txn') throw new TypeError(`the store answered with a ${result.type}`)
  const [first] = result.results
  return first === undefined ? null : outputOf(first)
}

function textOf(value: Uint8Array | undefined): string | null {
  return value === undefined ? null : decoder.decode(value)
}

import type { Command, LogIndex, StateMachine } from '@coracle/raft-core'
import type { KeyValueInput } from '@coracle/linearizability'
import { Fingerprint } from './fingerprint.ts'
import type { Random } from './random.ts'

/** A command as the workload makes it: numbered, so that each can be told from every other. */
export interface NumberedInput {
  readonly number: number
  readonly input: Exclude<KeyValueInput, { readonly type: 'get' }>
}

const encoder = new TextEncoder()
const decoder = new TextDecoder()

export function encodeCommand(command: NumberedInput): Uint8Array {
  return encoder.encode(JSON.stringify(command))
}

export function decodeCommand(data: Uint8Array): NumberedInput {
  return JSON.parse(decoder.decode(data)) as NumberedInput
}

interface State {
  readonly index: LogIndex
  readonly fingerprint: string
  readonly values: readonly (readonly [string, string])[]
}

export interface MachineHooks {
  readonly applied: (command: Command, input: NumberedInput) => void
  readonly reached: (index: LogIndex, fingerprint: string) => void
  readonly restored: (index: LogIndex, fingerprint: string) => void
  /** Resolves after the time it takes; null if it takes none. */
  readonly work: () => Promise<void> | null
}

/** A store of keys and values in memory. Its fingerprint tells every history from every other. */
export class KeyValueMachine implements StateMachine<string | null> {
  readonly durableIndex = 0
  readonly #hooks: MachineHooks
  readonly #random: Random
  #values = new Map<string, string>()
  #index: LogIndex = 0
  #fingerprint = ''

  constructor(hooks: MachineHooks, random: Random) {
    this.#hooks = hooks
    this.#random = random
  }

  get(key: string): string | null {
    return this.#values.get(key) ?? null
  }

  apply(
    commands: readonly Command[],
  ): readonly (string | null)[] | Promise<readonly (string | null)[]> {
    const work = this.#hooks.work()
    const applyAll = (): (string | null)[] => commands.map((command) => this.#apply(command))
    return work === null ? applyAll() : work.then(applyAll)
  }

  #apply(command: Command): string | null {
    const numbered = decodeCommand(command.data)
    const { input } = numbered
    const found = this.get(input.key)
    if (input.type === 'put') this.#values.set(input.key, input.value)
    else if (input.type === 'append') this.#values.set(input.key, (found ?? '') + input.value)
    else if (input.type === 'delete') this.#values.delete(input.key)
    else if (found === input.from) this.#values.set(input.key, input.to)
    this.#index = command.index
    const fingerprint = new Fingerprint()
    fingerprint.add(`${this.#fingerprint} ${command.index} ${command.term}`)
    fingerprint.addBytes(command.data)
    this.#fingerprint = fingerprint.toString()
    this.#hooks.applied(command, numbered)
    this.#hooks.reached(this.#index, this.#fingerprint)
    return found
  }

  snapshot(): AsyncIterable<Uint8Array> {
    const state: State = {
      index: this.#index,
      fingerprint: this.#fingerprint,
      values: [...this.#values],
    }
    return cutAnywhere(encoder.encode(JSON.stringify(state)), this.#random)
  }

  async restore(chunks: AsyncIterable<Uint8Array>): Promise<void> {
    const streaming = new TextDecoder()
    let text = ''
    for await (const chunk of chunks) text += streaming.decode(chunk, { stream: true })
    const { index, fingerprint, values } = JSON.parse(text) as State
    await this.#hooks.work()
    this.#values = new Map(values)
    this.#index = index
    this.#fingerprint = fingerprint
    this.#hooks.restored(index, fingerprint)
  }
}

async function* cutAnywhere(bytes: Uint8Array, random: Random): AsyncGenerator<Uint8Array> {
  for (let start = 0; start < bytes.length;) {
    const end = Math.min(bytes.length, start + random.whole(1, 200))
    yield bytes.slice(start, end)
    start = end
  }
}

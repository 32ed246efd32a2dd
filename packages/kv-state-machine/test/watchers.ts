/** Watchers whose turns are taken by hand and whose sinks keep what they are told. */
import type {
  KvStateMachine,
  WatchBatch,
  Watcher,
  WatchEvent,
  WatchRequest,
  WatchStream,
} from '../src/index.ts'
import { bytes, text } from './requests.ts'

export interface Told {
  readonly watcher: Watcher
  readonly batches: readonly WatchBatch[]
  /** The compaction that ended it, or null. */
  readonly compacted: number | null
  /** Its events as `revision key=value` or `revision -key`, with `(was value)` if known. */
  readonly events: readonly string[]
}

/** Turns that wait to be taken. */
export class Turns {
  readonly #waiting: (() => void)[] = []
  readonly schedule = (turn: () => void): void => void this.#waiting.push(turn)

  get waiting(): number {
    return this.#waiting.length
  }

  /** Takes one, if there is one. */
  take(): boolean {
    const turn = this.#waiting.shift()
    turn?.()
    return turn !== undefined
  }

  takeAll(): void {
    while (this.take());
  }
}

export function watchRequest(
  key: string,
  rangeEnd: string = '',
  options: Partial<WatchRequest> = {},
): WatchRequest {
  return {
    key: bytes(key),
    rangeEnd: bytes(rangeEnd),
    startRevision: 0,
    prevKv: false,
    noPut: false,
    noDelete: false,
    ...options,
  }
}

/** Begins to watch and keeps what comes; `onEvents` may do to the stream what a sink may. */
export function watch(
  stream: WatchStream,
  request: WatchRequest,
  onEvents: (batch: WatchBatch) => void = () => {},
): Told {
  const batches: WatchBatch[] = []
  const events: string[] = []
  let compacted: number | null = null
  const watcher = stream.watch(request, {
    events(batch) {
      batches.push(batch)
      events.push(...batch.events.map(shown))
      onEvents(batch)
    },
    compacted(revision) {
      compacted = revision
    },
  })
  return {
    watcher,
    batches,
    events,
    get compacted() {
      return compacted
    },
  }
}

export function shown({ type, kv, prevKv }: WatchEvent): string {
  const was = prevKv === null ? '' : ` (was ${text(prevKv.value)})`
  const change = type === 'put' ? `${text(kv.key)}=${text(kv.value)}` : `-${text(kv.key)}`
  return `${kv.modRevision} ${change}${was}`
}

/** A stream whose turns the test takes. */
export function opened(
  machine: KvStateMachine,
  turns: Turns = new Turns(),
): { stream: WatchStream; turns: Turns } {
  return { stream: machine.watchStream({ schedule: turns.schedule }), turns }
}

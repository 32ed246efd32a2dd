/** A member as a child process, known by its log. */
import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'

/** A line of a member's log, or of what Node says of a program that it cannot go on with. */
export interface LogLine {
  readonly level: string
  readonly msg: string
  readonly text: string
  readonly fields: Readonly<Record<string, unknown>>
}

export interface Exit {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  /** What the member said last about why it could not go on, or null. */
  readonly why: string | null
}

/** A member that ended, or had to be ended, before it was ready. */
export class StartError extends Error {
  override readonly name = 'StartError'
}

export interface MemberProcess extends AsyncDisposable {
  readonly pid: number
  /** Resolves when it serves clients. Rejects with a {@link StartError} if it ends before. */
  readonly ready: Promise<void>
  readonly exited: Promise<Exit>
  kill(signal: NodeJS.Signals): void
}

export interface MemberProcessOptions {
  /** The built program of a member. */
  readonly program: string
  readonly flags: readonly string[]
  /** A program that starts the one in its arguments, such as `nice`. Default: none. */
  readonly through?: readonly string[]
  readonly env?: NodeJS.ProcessEnv
  readonly onLine?: (line: LogLine) => void
  /** A member that has not stopped by then, when it is disposed of, is killed. Default 15000. */
  readonly stopTimeoutMs?: number
}

const READY = 'ready to serve client requests'

/**
 * Starts a member. Disposal asks it to stop, and insists after a while. It ends with this process,
 * too, whatever becomes of it: the channel between them breaks.
 */
export function startMember(options: MemberProcessOptions): MemberProcess {
  const { program, flags, through = [] } = options
  const [first = process.execPath, ...args] = [...through, process.execPath, program, ...flags]
  const child = spawn(first, args, {
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    // A group of its own: Ctrl-C is for whoever started it, who will then stop it in good order.
    detached: true,
    env: options.env ?? process.env,
  })
  return new Member(child, options)
}

class Member implements MemberProcess {
  readonly pid: number
  readonly ready: Promise<void>
  readonly exited: Promise<Exit>
  readonly #child: ChildProcess
  readonly #stopTimeoutMs: number
  #why: string | null = null
  #onReady: () => void = () => {}

  constructor(child: ChildProcess, { onLine, stopTimeoutMs = 15_000 }: MemberProcessOptions) {
    this.#child = child
    this.#stopTimeoutMs = stopTimeoutMs
    this.pid = child.pid ?? 0
    if (child.stderr !== null)
      createInterface({ input: child.stderr }).on('line', (text) => {
        const line = parseLine(text)
        this.#take(line)
        onLine?.(line)
      })
    this.exited = new Promise((resolve) => {
      child.once('error', ({ message }) => resolve({ code: null, signal: null, why: message }))
      // Not `exit`: the last lines may still be on their way.
      child.once('close', (code, signal) => resolve({ code, signal, why: this.#why }))
    })
    this.ready = new Promise((resolve, reject) => {
      this.#onReady = resolve
      this.exited.then((exit) => reject(new StartError(describeExit(exit))), reject)
    })
    // Whoever does not care learns of the end by `exited`.
    this.ready.catch(() => {})
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.kill('SIGTERM')
    const insist = setTimeout(() => this.kill('SIGKILL'), this.#stopTimeoutMs)
    await this.exited
    clearTimeout(insist)
  }

  #take({ level, msg }: LogLine): void {
    if (msg === READY) this.#onReady()
    if (level === 'fatal') this.#why ??= msg
  }
}

export function describeExit({ code, signal, why }: Exit): string {
  if (why !== null) return why
  return signal === null ? `it ended with exit code ${code}` : `it was killed by ${signal}`
}

function parseLine(text: string): LogLine {
  try {
    const fields = JSON.parse(text) as Record<string, unknown>
    return { level: String(fields['level']), msg: String(fields['msg']), text, fields }
  } catch {
    const isReason = /^coracle: |^\w*Error\b/.test(text)
    return {
      level: isReason ? 'fatal' : 'info',
      msg: text.replace(/^coracle: /, ''),
      text,
      fields: {},
    }
  }
}

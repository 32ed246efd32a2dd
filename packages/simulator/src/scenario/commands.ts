import {
  bootstrapMembership,
  type LogIndex,
  type MembershipChange,
  type MessageType,
  narrate,
  type RaftEvent,
  tellMembership,
  tellPosition,
} from '@coracle/raft-core'
import { ScenarioCluster } from './cluster.ts'
import { ALL, describe, type Which } from './mail.ts'
import type { NodeSettings, Part } from './node.ts'

/** One run of a scenario: its cluster, and what is to be told of it. */
export class Run {
  #lines: string[] = []
  #cluster: ScenarioCluster | null = null
  #isQuiet = false

  get cluster(): ScenarioCluster {
    if (this.#cluster === null) throw new Error('a scenario starts with its nodes')
    return this.#cluster
  }

  start(ids: readonly string[], options: readonly (readonly [string, OptionValue])[]): void {
    const founders = bootstrapMembership(ids.map((id) => ({ id, address: '' })))
    this.quietly(() => {
      this.#cluster = new ScenarioCluster({
        founders,
        optionsOf: (id) => optionsOf(id, options),
        onEvent: (event) => {
          if (isWorthALine(event)) this.tell(narrate(event))
        },
        tell: (line) => this.tell(line),
      })
    })
  }

  tell(line: string): void {
    if (!this.#isQuiet) this.#lines.push(line)
  }

  quietly(action: () => void): void {
    const wasQuiet = this.#isQuiet
    this.#isQuiet = true
    action()
    this.#isQuiet = wasQuiet
  }

  takeLines(): readonly string[] {
    const lines = this.#lines
    this.#lines = []
    return lines
  }
}

export type Command = (run: Run, words: readonly string[]) => void

export const COMMANDS: Readonly<Record<string, Command>> = {
  nodes(run, words) {
    run.start(
      words.filter((word) => !word.includes('=')),
      words.filter((word) => word.includes('=')).map(parseOption),
    )
  },

  stranger: (run, [id = '']) => run.cluster.addStranger(id),

  quietly(run, [name = '', ...words]) {
    run.quietly(() => commandNamed(name)(run, words))
  },

  // What a node is asked for.

  elect(run, [id = '']) {
    const { raft } = run.cluster.node(id)
    run.quietly(() => {
      raft.campaign()
      run.cluster.stabilize()
    })
    if (raft.role !== 'leader') throw new Error(`${id} was not elected`)
  },

  campaign: (run, [id = '']) => run.cluster.node(id).raft.campaign(),

  propose(run, [id = '', ...commands]) {
    const data = commands.map((command) => new TextEncoder().encode(command))
    const { accepted, why } = run.cluster.node(id).raft.propose(data)
    if (why !== null) run.tell(`${id} took ${accepted} of ${data.length} proposals: ${why}`)
  },

  read: (run, [id = '', read = '']) => run.cluster.node(id).raft.readIndex(number(read)),

  transfer(run, [from = '', to = '']) {
    const heir = run.cluster.node(from).raft.transferLeadership(to)
    if (heir === null) run.tell(`${from} cannot hand over to ${to}`)
  },

  change(run, [id = '', ...words]) {
    const { expected, changes } = parseChanges(words)
    const outcome = run.cluster.node(id).raft.changeMembership(changes, expected)
    if ('refused' in outcome) run.tell(`${id} refused the change: ${outcome.why}`)
  },

  forget(run, [id = '']) {
    if (!run.cluster.node(id).raft.forgetLeader()) run.tell(`${id} forgets no leader`)
  },

  // Time and messages.

  tick(run, [id = '', count = '1']) {
    for (let tick = 0; tick < number(count); tick += 1) run.cluster.tick(id)
  },

  pause: (run, [id = '', count = '']) => run.cluster.node(id).pass(number(count)),
  deliver: (run, words) => run.cluster.deliver(parseWhich(words)),
  stabilize: (run) => run.cluster.stabilize(),
  repeat: (run) => run.cluster.repeat(),
  reverse: (run) => run.cluster.reverse(),
  hold: (run, words) => run.cluster.hold(parseWhich(words)),
  unhold: (run, words) => run.cluster.unhold(parseWhich(words)),
  release: (run, words) => run.cluster.release(parseWhich(words)),

  drop(run, words) {
    const count = run.cluster.drop(parseWhich(words))
    run.tell(count === 1 ? '1 message was lost' : `${count} messages were lost`)
  },

  cut: (run, [from = '', to = '']) => run.cluster.cut(from, to),

  partition(run, words) {
    const groups = words.join(' ').split('|')
    run.cluster.partition(groups.map((group) => group.trim().split(/\s+/)))
  },

  heal: (run) => run.cluster.heal(),
  unreachable: (run, [id = '', peer = '']) => run.cluster.node(id).raft.peerUnreachable(peer),

  // Disks and crashes.

  stall: (run, [id = '', part]) => run.cluster.node(id).stalled.add(parsePart(part)),
  resume: (run, [id = '', part]) => run.cluster.node(id).stalled.delete(parsePart(part)),

  write(run, [id = '']) {
    if (!run.cluster.node(id).finishWrite()) throw new Error(`${id} writes nothing`)
  },

  crash(run, [id = '', written]) {
    if (written !== undefined && written !== 'written')
      throw new Error(`a crash is never ${written}`)
    run.cluster.node(id).crash({ isWritten: written === 'written' })
  },

  restart(run, [id = '']) {
    const node = run.cluster.node(id)
    run.cluster.guard(node, () => node.start())
  },

  lose: (run, [id = '', from = '0']) => run.cluster.node(id).disk.lose(number(from)),

  past(run, [id = '', term = '', ...terms]) {
    const node = run.cluster.node(id)
    run.quietly(() => {
      node.disk.forge(number(term), terms.map(number))
      node.start()
    })
  },

  compact: (run, [id = '', keep = '0']) => run.cluster.node(id).compact(number(keep)),

  // What is shown.

  mail(run) {
    const { mail } = run.cluster
    if (mail.length === 0) run.tell('nothing is on its way')
    for (const message of mail) run.tell(describe(message))
  },

  log(run, ids) {
    for (const id of ids) {
      const { raft } = run.cluster.node(id)
      const first = raft.firstIndex
      const held = Array.from({ length: raft.lastIndex - first + 1 }, (_, at) =>
        tellPosition({ term: raft.termAt(first + at), index: first + at }),
      )
      run.tell(`${id} holds ${held.length === 0 ? 'nothing' : held.join(' ')}`)
    }
  },

  state(run, ids) {
    for (const id of ids) {
      const { state } = run.cluster.node(id)
      run.tell(`${id} has applied ${state.length === 0 ? 'nothing' : state.join(' ')}`)
    }
  },

  members(run, ids) {
    for (const id of ids)
      run.tell(`${id} knows ${tellMembership(run.cluster.node(id).raft.membership)}`)
  },

  peers(run, ids) {
    for (const id of ids)
      for (const peer of run.cluster.node(id).raft.peers)
        run.tell(
          `${id} sees ${peer.id}: ${peer.state}, matches up to ${peer.matchIndex}` +
            (peer.active ? '' : ', not heard'),
        )
  },

  status(run, ids) {
    for (const id of ids) {
      const { role, term, commitIndex } = run.cluster.node(id).raft
      run.tell(`${id} is ${role} at term ${term}, committed up to ${commitIndex}`)
    }
  },
}

export function commandNamed(name: string): Command {
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined
  if (command === undefined) throw new Error(`there is no command ${name}`)
  return command
}

const STEPS: readonly string[] = [
  'add-voter',
  'add-learner',
  'promote-learner',
  'demote-voter',
  'remove',
]

function parseChanges(words: readonly string[]): {
  readonly expected: LogIndex | null
  readonly changes: readonly MembershipChange[]
} {
  const [first = ''] = words
  if (first.startsWith('if='))
    return { ...parseChanges(words.slice(1)), expected: number(first.slice(3)) }
  const changes: MembershipChange[] = []
  for (let at = 0; at < words.length; at += 2) {
    const [type = '', id = ''] = words.slice(at, at + 2)
    if (!STEPS.includes(type)) throw new Error(`there is no step ${type}`)
    changes.push({ type, id, peer: { id, address: '' } } as unknown as MembershipChange)
  }
  return { expected: null, changes }
}

/** `a b heartbeat`: those from a to b of that kind. What is left out, or `*`, stands for all. */
function parseWhich([from, to, type]: readonly string[]): Which {
  if (from === undefined) return ALL
  const given = (word: string | undefined): string | null =>
    word === undefined || word === '*' ? null : word
  return { from: given(from), to: given(to), type: given(type) as MessageType | null }
}

const PARTS: readonly string[] = ['disk', 'machine', 'reads']

function parsePart(word = 'disk'): Part {
  if (!PARTS.includes(word)) throw new Error(`no node has a ${word}`)
  return word as Part
}

type OptionValue = number | boolean | string

function parseOption(word: string): [string, OptionValue] {
  const [name = '', value = ''] = word.split('=')
  if (value === 'true' || value === 'false') return [name, value === 'true']
  return [name, /^\d/.test(value) ? Number(value) : value]
}

/** `preVote=false` goes for all, `c.preVote=false` for c alone. */
function optionsOf(
  id: string,
  options: readonly (readonly [string, OptionValue])[],
): NodeSettings['options'] {
  const own = options.flatMap(([name, value]) => {
    const [owner = '', of] = name.split('.')
    if (of === undefined) return [[name, value] as const]
    return owner === id ? [[of, value] as const] : []
  })
  return Object.fromEntries(own)
}

function number(text: string): number {
  const value = Number(text)
  if (text === '' || !Number.isSafeInteger(value)) throw new Error(`"${text}" is not a number`)
  return value
}

/** What goes without saying in a scenario, or is told in words of its own, is left out. */
function isWorthALine(event: RaftEvent): boolean {
  if (event.type === 'role-changed') return event.role === 'follower' || event.role === 'leader'
  return !UNTOLD.includes(event.type)
}

const UNTOLD: readonly RaftEvent['type'][] = [
  'entries-applied',
  'message-sent',
  'message-received',
  'snapshot-taken',
  'node-failed',
]

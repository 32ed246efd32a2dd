import { bootstrapMembership, type MembershipChange, type MessageType } from '@coracle/raft-core'
import { ScenarioCluster } from './cluster.ts'
import { list, narrate, place } from './narrate.ts'
import type { NodeSettings } from './node.ts'

/** A scenario that cannot be run as it is written; names the line. */
export class ScenarioError extends Error {
  override readonly name = 'ScenarioError'
}

/**
 * Runs a scenario file and answers with the same text, in which the expected output of each block
 * is what really happened: equal texts mean that the scenario holds.
 *
 * A file is a list of blocks with an empty line between them. A block is commands, one per line, a
 * line `----`, and what they make happen, one line per event. `#` starts a comment.
 *
 * | command | what it does |
 * |---|---|
 * | `nodes a b c [option=value …]` | starts a cluster of these founders |
 * | `stranger d` | starts an empty node that waits to be added |
 * | `elect a` | has `a` elected, without telling how |
 * | `campaign a` | `a` starts an election now |
 * | `tick a [n]` | lets `n` ticks pass on `a` |
 * | `propose a x=1 …` | has the leader `a` append commands |
 * | `read a n` | `a` asks from which index on a read numbered `n` is linearizable |
 * | `transfer a b` | the leader `a` hands over to `b` |
 * | `change a step id …` | the leader `a` changes the membership, by steps such as `add-learner d` |
 * | `deliver` | delivers what is on its way now |
 * | `stabilize` | delivers until nothing is on its way |
 * | `drop` | loses what is on its way or held |
 * | `cut a b` | nothing passes from `a` to `b` |
 * | `partition a b \| c` | nothing passes between the groups |
 * | `heal` | undoes all cuts |
 * | `unreachable a b` | tells `a` that its messages to `b` are being lost |
 * | `hold a b [type]` | keeps messages from `a` to `b` back from now on |
 * | `unhold`, `release` | keeps no more of them back; also sends on those that were |
 * | `stall a`, `resume a` | writes on `a`'s disk do not finish; they do again |
 * | `write a` | finishes the write under way on `a`'s stalled disk |
 * | `crash a`, `restart a` | loses what is not on `a`'s disk; starts it from there |
 * | `compact a [keep]` | `a` takes a snapshot and forgets the log, but for `keep` entries |
 * | `log a …` | shows terms and indexes of what the logs hold |
 * | `state a …` | shows what the nodes have applied |
 * | `members a …` | shows who takes part, as the nodes see it |
 * | `status a …` | shows role, term, and commit index |
 */
export function runScenario(text: string): string {
  const run = new Run()
  const output: string[] = []
  let isCommand = true
  for (const [at, line] of text.split('\n').entries()) {
    if (line === '----') {
      output.push(line, ...run.takeLines())
      isCommand = false
    } else if (line.trim() === '') {
      if (isCommand) requireSilence(run, at)
      output.push(line)
      isCommand = true
    } else if (isCommand) {
      execute(run, line, at)
      output.push(line)
    }
  }
  return output.join('\n')
}

function execute(run: Run, line: string, at: number): void {
  const [command, ...words] = line.replace(/#.*/, '').trim().split(/\s+/)
  if (command === undefined || command === '') return
  try {
    const handler = COMMANDS[command]
    if (handler === undefined) throw new Error(`there is no command ${command}`)
    handler(run, words)
  } catch (error) {
    throw new ScenarioError(`line ${at + 1}: ${(error as Error).message}`, { cause: error })
  }
}

function requireSilence(run: Run, at: number): void {
  const [line] = run.takeLines()
  if (line !== undefined) throw new ScenarioError(`line ${at + 1}: nobody expects "${line}"`)
}

class Run {
  #lines: string[] = []
  #cluster: ScenarioCluster | null = null
  #isQuiet = false

  get cluster(): ScenarioCluster {
    if (this.#cluster === null) throw new Error('a scenario starts with its nodes')
    return this.#cluster
  }

  start(ids: readonly string[], options: NodeSettings['options']): void {
    const founders = bootstrapMembership(ids.map((id) => ({ id, address: '' })))
    this.quietly(() => {
      this.#cluster = new ScenarioCluster(
        founders,
        options,
        (event) => {
          const line = narrate(event)
          if (line !== null) this.tell(line)
        },
        (line) => this.tell(line),
      )
    })
  }

  tell(line: string): void {
    if (!this.#isQuiet) this.#lines.push(line)
  }

  quietly(action: () => void): void {
    this.#isQuiet = true
    action()
    this.#isQuiet = false
  }

  takeLines(): readonly string[] {
    const lines = this.#lines
    this.#lines = []
    return lines
  }
}

type Command = (run: Run, words: readonly string[]) => void

const COMMANDS: Readonly<Record<string, Command>> = {
  nodes(run, words) {
    run.start(
      words.filter((word) => !word.includes('=')),
      Object.fromEntries(words.filter((word) => word.includes('=')).map(parseOption)),
    )
  },

  stranger: (run, [id = '']) => run.cluster.addStranger(id),

  change(run, [id = '', ...words]) {
    const outcome = run.cluster.node(id).raft.changeMembership(parseChanges(words), null)
    if ('refused' in outcome) run.tell(`${id} refused the change: ${outcome.why}`)
  },

  elect(run, [id = '']) {
    const { raft } = run.cluster.node(id)
    run.quietly(() => {
      raft.campaign()
      run.cluster.stabilize()
    })
    if (raft.role !== 'leader') throw new Error(`${id} was not elected`)
  },

  campaign(run, [id = '']) {
    run.cluster.node(id).raft.campaign()
  },

  tick(run, [id = '', count = '1']) {
    for (let tick = 0; tick < number(count); tick += 1) run.cluster.tick(id)
  },

  propose(run, [id = '', ...commands]) {
    const data = commands.map((command) => new TextEncoder().encode(command))
    const { accepted, why } = run.cluster.node(id).raft.propose(data)
    if (why !== null) run.tell(`${id} took ${accepted} of ${data.length} proposals: ${why}`)
  },

  read(run, [id = '', read = '']) {
    run.cluster.node(id).raft.readIndex(number(read))
  },

  transfer(run, [from = '', to = '']) {
    const heir = run.cluster.node(from).raft.transferLeadership(to)
    if (heir === null) run.tell(`${from} cannot hand over to ${to}`)
  },

  deliver: (run) => run.cluster.deliver(),
  stabilize: (run) => run.cluster.stabilize(),
  heal: (run) => run.cluster.heal(),
  release: (run) => run.cluster.release(),
  unhold: (run) => run.cluster.unhold(),

  drop(run) {
    run.tell(`${run.cluster.drop()} messages were lost`)
  },

  cut: (run, [from = '', to = '']) => run.cluster.cut(from, to),

  partition(run, words) {
    const groups = words.join(' ').split('|')
    run.cluster.partition(groups.map((group) => group.trim().split(/\s+/)))
  },

  unreachable: (run, [id = '', peer = '']) => run.cluster.node(id).raft.peerUnreachable(peer),

  hold(run, [from = '', to = '', type]) {
    run.cluster.hold(from, to, (type ?? null) as MessageType | null)
  },

  stall(run, [id = '']) {
    run.cluster.node(id).isStalled = true
  },

  resume(run, [id = '']) {
    run.cluster.node(id).isStalled = false
  },

  write(run, [id = '']) {
    if (!run.cluster.node(id).finishWrite()) throw new Error(`${id} writes nothing`)
  },

  crash: (run, [id = '']) => run.cluster.node(id).crash(),
  restart: (run, [id = '']) => run.cluster.node(id).start(),
  compact: (run, [id = '', keep = '0']) => run.cluster.node(id).compact(number(keep)),

  log(run, ids) {
    for (const id of ids) {
      const { raft } = run.cluster.node(id)
      const first = raft.firstIndex
      const held = Array.from({ length: raft.lastIndex - first + 1 }, (_, at) =>
        place({ term: raft.termAt(first + at), index: first + at }),
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
    for (const id of ids) run.tell(`${id} knows ${list(run.cluster.node(id).raft.membership)}`)
  },

  status(run, ids) {
    for (const id of ids) {
      const { role, term, commitIndex } = run.cluster.node(id).raft
      run.tell(`${id} is ${role} at term ${term}, committed up to ${commitIndex}`)
    }
  },
}

const STEPS: readonly string[] = [
  'add-voter',
  'add-learner',
  'promote-learner',
  'demote-voter',
  'remove',
]

function parseChanges(words: readonly string[]): MembershipChange[] {
  const changes: MembershipChange[] = []
  for (let at = 0; at < words.length; at += 2) {
    const [type = '', id = ''] = words.slice(at, at + 2)
    if (!STEPS.includes(type)) throw new Error(`there is no step ${type}`)
    changes.push({ type, id, peer: { id, address: '' } } as unknown as MembershipChange)
  }
  return changes
}

function parseOption(word: string): [string, number | boolean] {
  const [name = '', value = ''] = word.split('=')
  return [name, value === 'true' || value === 'false' ? value === 'true' : number(value)]
}

function number(text: string): number {
  const value = Number(text)
  if (text === '' || !Number.isSafeInteger(value)) throw new Error(`"${text}" is not a number`)
  return value
}

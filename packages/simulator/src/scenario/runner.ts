import { commandNamed, Run } from './commands.ts'

/** A scenario that cannot be run as it is written; names the line. */
export class ScenarioError extends Error {
  override readonly name = 'ScenarioError'
}

/**
 * Runs a scenario file and answers with the same text, in which the expected output of each block
 * is what really happened: equal texts mean that the scenario holds.
 *
 * A file is a list of blocks with an empty line between them. A block is commands, one per line, a
 * line `----`, and what they make happen, one line per event. `#` starts a comment. Where messages
 * are chosen by `[a] [b] [type]`, what is left out, or `*`, stands for all.
 *
 * | command | what it does |
 * |---|---|
 * | `nodes a b c [option=value …]` | starts a cluster of these founders; `a.option=value` for `a` alone |
 * | `stranger d` | starts an empty node that waits to be added |
 * | `quietly …` | runs a command and does not tell what it makes happen |
 * | `elect a` | has `a` elected, without telling how |
 * | `campaign a` | `a` starts an election now |
 * | `tick a [n]` | lets `n` ticks pass on `a` |
 * | `propose a x=1 …` | has the leader `a` append commands |
 * | `read a n` | `a` asks from which index on a read numbered `n` is linearizable |
 * | `transfer a b` | the leader `a` hands over to `b` |
 * | `forget a` | the follower `a` forgets its leader |
 * | `change a [if=n] step id …` | the leader `a` changes the membership, by steps such as `add-learner d`, if it is still that of index `n` |
 * | `pause a n` | `a`'s process stands still for as long as `n` ticks |
 * | `deliver [a] [b] [type]` | delivers what is on its way now |
 * | `stabilize` | delivers until nothing is on its way |
 * | `drop [a] [b] [type]` | loses what is on its way or held |
 * | `repeat`, `reverse` | what is on its way arrives twice; in the opposite order |
 * | `cut a b` | nothing passes from `a` to `b` |
 * | `partition a b \| c` | nothing passes between the groups |
 * | `heal` | undoes all cuts |
 * | `unreachable a b` | tells `a` that its messages to `b` are being lost |
 * | `hold [a] [b] [type]` | keeps messages from `a` to `b` back from now on |
 * | `unhold [a] [b] [type]` | undoes that |
 * | `release [a] [b] [type]` | undoes that, and sends on what was kept back |
 * | `stall a`, `resume a` | writes on `a`'s disk do not finish; they do again |
 * | `stall a machine`, `stall a reads` | `a` applies nothing; `a` reads no old entries. `resume` as well |
 * | `write a` | finishes the write under way on `a`'s stalled disk |
 * | `crash a`, `restart a` | loses what is not on `a`'s disk; starts it from there |
 * | `crash a written` | the same, but the write under way has just reached the disk |
 * | `lose a [n]` | `a`'s disk forgets what it promised to keep: the entries from `n` on, or everything |
 * | `past a t 1 1 4 …` | starts `a` in term `t` with a log whose entries are of these terms, the first its founding |
 * | `compact a [keep]` | `a` takes a snapshot and forgets the log, but for `keep` entries |
 * | `mail` | shows what is on its way |
 * | `log a …` | shows terms and indexes of what the logs hold |
 * | `state a …` | shows what the nodes have applied |
 * | `members a …` | shows who takes part, as the nodes see it |
 * | `peers a …` | shows what leaders know of the others |
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
    commandNamed(command)(run, words)
  } catch (error) {
    throw new ScenarioError(`line ${at + 1}: ${(error as Error).message}`, { cause: error })
  }
}

function requireSilence(run: Run, at: number): void {
  const [line] = run.takeLines()
  if (line !== undefined) throw new ScenarioError(`line ${at + 1}: nobody expects "${line}"`)
}

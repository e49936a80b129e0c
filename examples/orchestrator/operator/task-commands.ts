import { OrchestratorError } from '../errors.ts'
import type { TaskAnswer } from './answers.ts'
import { command, listOf, type OperatorCommand, textOf } from './command.ts'
import { instant, table } from './table.ts'

export const taskCommands: readonly OperatorCommand[] = [
  command<TaskAnswer>({
    name: 'task run',
    usage:
      'task run --node NODE [--secret source=NAME[,target=FILE][,uid=N][,gid=N][,mode=0400] ...] -- COMMAND [ARG ...]',
    summary: 'run a command on a node, with the secrets it is granted',
    options: { node: { type: 'string' }, secret: { type: 'string', multiple: true } },
    positionals: 0,
    takesRest: true,
    ask: (given) => {
      const node = textOf(given, 'node')
      if (node === undefined) throw new OrchestratorError('USAGE', 'name the node with --node')
      if (given.rest.length === 0) throw new OrchestratorError('USAGE', 'put the command after --')
      return { path: 'task/run', body: { node, secrets: listOf(given, 'secret'), command: given.rest } }
    },
    show: (task) => `${task.id}  on ${task.nodeId}`,
  }),
  command<readonly TaskAnswer[]>({
    name: 'task ls',
    usage: 'task ls',
    summary: 'list tasks and where they are in their life',
    positionals: 0,
    ask: () => ({ path: 'task/ls' }),
    show: (tasks) =>
      table(
        ['ID', 'NODE', 'STATE', 'EXIT', 'SECRETS', 'CREATED', 'COMMAND'],
        tasks.map((task) => [
          task.id,
          task.nodeId,
          task.state,
          task.exitCode === null ? '-' : String(task.exitCode),
          task.secrets.map((secret) => secret.name).join(',') || '-',
          instant(task.createdAt),
          task.command.join(' ').slice(0, 40),
        ]),
      ),
  }),
  command<{ readonly id: string }>({
    name: 'task rm',
    usage: 'task rm TASK',
    summary: 'stop a task and take its secrets back',
    positionals: 1,
    ask: (given) => ({ path: 'task/rm', body: { task: given.positionals[0] } }),
    show: (removed) => removed.id,
  }),
]

"""The order in which asyncio runs things: each program prints what happened, in a line."""
import asyncio
import socket
import time


def ord_1():
    log = []
    loop = asyncio.new_event_loop()

    def a():
        log.append("a")
        loop.call_soon(lambda: (log.append("c"), loop.stop()))

    loop.call_soon(a)
    loop.call_soon(lambda: log.append("b"))
    loop.run_forever()
    loop.close()
    return log


async def ord_2():
    log = []

    async def task(name):
        for _ in range(3):
            log.append(name)
            await asyncio.sleep(0)

    one = asyncio.create_task(task("T1"))
    two = asyncio.create_task(task("T2"))
    await one
    await two
    return log


async def ord_3():
    log = []
    future = asyncio.get_running_loop().create_future()
    future.add_done_callback(lambda _: log.append("f1"))

    async def waits():
        await future
        log.append("awaiter")

    task = asyncio.create_task(waits())
    await asyncio.sleep(0)
    future.add_done_callback(lambda _: log.append("f2"))
    future.set_result(1)
    log.append("set")
    await task
    await asyncio.sleep(0)
    return log


async def ord_4():
    log = []
    future = asyncio.get_running_loop().create_future()
    future.set_result(1)
    asyncio.get_running_loop().call_soon(lambda: log.append("callback"))
    await future
    log.append("awaited")
    await asyncio.sleep(0)
    return log


async def ord_5():
    log = []

    async def inner():
        log.append("inner")

    asyncio.get_running_loop().call_soon(lambda: log.append("callback"))
    await inner()
    log.append("awaited")
    await asyncio.sleep(0)
    return log


async def ord_6():
    log = []

    async def ends():
        log.append("task")

    task = asyncio.create_task(ends())

    async def beside():
        for n in range(3):
            log.append(f"round {n}")
            await asyncio.sleep(0)

    other = asyncio.create_task(beside())
    await task
    log.append("awaited")
    await other
    return log


async def ord_7():
    log = []
    loop = asyncio.get_running_loop()
    one, two = socket.socketpair()
    one.setblocking(False)

    def readable():
        log.append("io")
        loop.remove_reader(one)

    loop.add_reader(one, readable)
    loop.call_later(0.002, lambda: log.append("second timer"))
    loop.call_later(0.001, lambda: log.append("first timer"))
    await asyncio.sleep(0)
    two.send(b"x")
    time.sleep(0.005)
    loop.call_soon(lambda: log.append("ready"))
    await asyncio.sleep(0.01)
    one.close()
    two.close()
    return log


def ord_9():
    log = []
    loop = asyncio.new_event_loop()

    def stops():
        loop.call_soon(lambda: log.append("new"))
        loop.stop()
        log.append("stop")

    loop.call_soon(stops)
    loop.call_soon(lambda: log.append("behind"))
    loop.run_forever()
    log.append("stopped")
    loop.close()
    return log


async def ord_10():
    log = []

    async def body():
        try:
            log.append("body")
        finally:
            log.append("finally")

    task = asyncio.create_task(body())
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        log.append("cancelled")
    return log


async def ord_11():
    log = []

    async def eager():
        log.append("eager")

    asyncio.Task(eager(), loop=asyncio.get_running_loop(), eager_start=True)
    log.append("after")
    await asyncio.sleep(0)
    return log


for program in [ord_1, ord_2, ord_3, ord_4, ord_5, ord_6, ord_7, ord_9, ord_10, ord_11]:
    log = asyncio.run(program()) if asyncio.iscoroutinefunction(program) else program()
    print(program.__name__.upper().replace("_", "-") + ":", ", ".join(log))

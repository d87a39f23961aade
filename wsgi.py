"""The app object for a WSGI server of your own: ``wsgi:app``. ``rollcall serve`` brings one, with the scheduler inside it.

Such a server has to receive requests whole before it gives them to a thread, or stand behind a proxy that does. Syncs are
then done by ``rollcall worker`` processes (``ROLLCALL_SCHEDULER=distributed``).
"""

from portal import create_app
from portal.config import load
from portal.operations import logs

logs.configure(form=load().log_format)
app = create_app()

#!/app/venv/bin/python
import sys
from web import main
if __name__ == "__main__":
    sys.exit(main())

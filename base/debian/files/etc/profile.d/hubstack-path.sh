# Debian's /etc/profile sets PATH anew in login shells, and JupyterLab's terminals are login shells.
case ":$PATH:" in
    *:/opt/venv/bin:*) ;;
    *) PATH=/opt/venv/bin:$PATH ;;
esac
